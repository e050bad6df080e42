package org.ftcluster.worker.bench;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.SplittableRandom;
import org.ftcluster.worker.tensor.Accelerator;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;

/** Numbers from -1 to 1 for float32 and bfloat16 tensors. */
final class RandomNumbers {
  /** What a device's tensors are made of, again and again. */
  private static final long TILE = 1 << 20;

  private final SplittableRandom random = new SplittableRandom(17);

  void fill(Tensor tensor) {
    if (tensor.isOnDevice()) {
      fillOnDevice(tensor, tensor.device());
      return;
    }
    MemorySegment memory = tensor.memory();
    for (long i = 0; i < tensor.elements(); i++) {
      float value = (float) random.nextDouble(-1, 1);
      if (tensor.dtype() == DType.FLOAT32) {
        memory.setAtIndex(ValueLayout.JAVA_FLOAT, i, value);
      } else {
        short half = (short) (Float.floatToRawIntBits(value) >>> Short.SIZE);
        memory.setAtIndex(ValueLayout.JAVA_SHORT, i, half);
      }
    }
  }

  private void fillOnDevice(Tensor tensor, Accelerator device) {
    try (Scope host = Scope.persistent()) {
      Tensor tile = host.empty(tensor.dtype(), Math.min(TILE, tensor.elements()));
      fill(tile);
      MemorySegment from = tile.memory();
      MemorySegment to = tensor.address();
      for (long at = 0; at < to.byteSize(); at += from.byteSize()) {
        long bytes = Math.min(from.byteSize(), to.byteSize() - at);
        device.upload(to.asSlice(at, bytes), from.asSlice(0, bytes));
      }
    }
  }
}
