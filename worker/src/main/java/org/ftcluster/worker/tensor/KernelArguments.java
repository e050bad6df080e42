package org.ftcluster.worker.tensor;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** A kernel's arguments as {@code cuLaunchKernel} takes them: pointers to the values. */
public final class KernelArguments {
  private KernelArguments() {}

  /**
   * @param arguments as {@link Accelerator#launch} takes them
   */
  public static MemorySegment of(Arena arena, Object... arguments) {
    MemorySegment pointers = arena.allocate(ADDRESS, arguments.length);
    MemorySegment values = arena.allocate(JAVA_LONG, arguments.length);
    for (int i = 0; i < arguments.length; i++) {
      long at = i * JAVA_LONG.byteSize();
      switch (arguments[i]) {
        case Tensor tensor -> values.set(JAVA_LONG, at, tensor.address().address());
        case MemorySegment memory -> values.set(JAVA_LONG, at, memory.address());
        case Integer value -> values.set(JAVA_INT, at, value);
        case Long value -> values.set(JAVA_LONG, at, value);
        case Float value -> values.set(JAVA_FLOAT, at, value);
        case Double value -> values.set(JAVA_DOUBLE, at, value);
        case Object other ->
            throw new IllegalArgumentException("no argument of a kernel: " + other);
      }
      pointers.setAtIndex(ADDRESS, i, values.asSlice(at));
    }
    return pointers;
  }
}
