package org.ftcluster.worker.tensor;

import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.SymbolLookup;

/**
 * A library of CUDA's that is open, for as long as the process lives.
 *
 * @param name of the library, in messages
 */
public record NativeLibrary(String name, SymbolLookup symbols) {
  /**
   * One of its functions that answer a status.
   *
   * @throws NativeException when it has none of that name
   */
  public NativeFunction function(String name, MemoryLayout... arguments) {
    return function(name, FunctionDescriptor.of(JAVA_INT, arguments));
  }

  /**
   * Any of its functions.
   *
   * @throws NativeException when it has none of that name
   */
  public NativeFunction function(String name, FunctionDescriptor descriptor) {
    return symbols
        .find(name)
        .map(symbol -> Linker.nativeLinker().downcallHandle(symbol, descriptor))
        .map(handle -> NativeFunction.of(name, handle))
        .orElseThrow(() -> new NativeException("%s has no %s".formatted(this.name, name)));
  }
}
