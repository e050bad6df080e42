package org.ftcluster.worker.tensor;

import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodType;

/**
 * A function of a native library. What it is given must be of its very types; any thread may call
 * it that the library allows to.
 *
 * @param name of the function, in messages
 * @param handle takes an array of arguments
 */
public record NativeFunction(String name, MethodHandle handle) {
  private static final int TEXT_BYTES = 1 << 16;

  static NativeFunction of(String name, MethodHandle function) {
    MethodHandle spread = function.asSpreader(Object[].class, function.type().parameterCount());
    return new NativeFunction(
        name, spread.asType(MethodType.methodType(Object.class, Object[].class)));
  }

  /** Calls one that answers a status, and gives that. */
  public int call(Object... arguments) {
    return (int) invoke(arguments);
  }

  /** Calls one that answers a text; empty where it has none. */
  public String text(Object... arguments) {
    return textAt((MemorySegment) invoke(arguments));
  }

  /** What a library wrote there, up to its zero; empty where it points nowhere. */
  public static String textAt(MemorySegment pointer) {
    return pointer.address() == 0 ? "" : pointer.reinterpret(TEXT_BYTES).getString(0);
  }

  private Object invoke(Object... arguments) {
    try {
      return handle.invokeExact(arguments);
    } catch (Throwable e) {
      throw new IllegalStateException(name + " can't be called", e);
    }
  }
}
