package org.ftcluster.worker.quantization;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;

/** Codes and scales on their way to an accelerator's memory. */
final class Upload {
  private Upload() {}

  /** Bytes, of which no kernel needs to know more than the address. */
  static Tensor bytes(Scope scope, MemorySegment values) {
    Tensor tensor = scope.empty(DType.UINT8, values.byteSize());
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment copy = values.isNative() ? values : copy(arena, values);
      tensor.device().upload(tensor.address(), copy);
    }
    return tensor;
  }

  private static MemorySegment copy(Arena arena, MemorySegment values) {
    return arena.allocate(values.byteSize(), 1).copyFrom(values);
  }

  static Tensor floats(Scope scope, float[] values) {
    Tensor tensor = scope.empty(DType.FLOAT32, values.length);
    try (Arena arena = Arena.ofConfined()) {
      tensor.device().upload(tensor.address(), arena.allocateFrom(ValueLayout.JAVA_FLOAT, values));
    }
    return tensor;
  }
}
