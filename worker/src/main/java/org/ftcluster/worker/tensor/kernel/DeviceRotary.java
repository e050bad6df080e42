package org.ftcluster.worker.tensor.kernel;

import java.lang.foreign.MemorySegment;
import org.ftcluster.worker.tensor.Kernel;
import org.ftcluster.worker.tensor.Parallel.Cost;
import org.ftcluster.worker.tensor.Scratch;
import org.ftcluster.worker.tensor.Tensor;

/** {@link Rotary} on an accelerator, which computes cosines and sines itself. */
final class DeviceRotary {
  /** Half of the largest head. */
  private static final int LARGEST_HALF = 256;

  private DeviceRotary() {}

  static void rotate(Tensor x, int headSize, int[] positions, float[] frequencies, int direction) {
    int width = DeviceRows.width(x);
    int half = headSize / 2;
    if (positions.length != x.size(0)
        || width % headSize != 0
        || headSize % 2 != 0
        || half != frequencies.length
        || half > LARGEST_HALF) {
      throw new IllegalArgumentException(
          "rotation of %s: %d positions, head size %d".formatted(x, positions.length, headSize));
    }
    Scratch scratch = x.device().scratch();
    MemorySegment places = scratch.upload(positions);
    MemorySegment angles = scratch.upload(frequencies);
    DeviceRows.run(
        Cost.through("rotary", x, x),
        x,
        new Kernel("rotary", "rotate", x.dtype()),
        x.size(0),
        x,
        x.stride(0),
        width / headSize,
        half,
        places,
        angles,
        (float) direction,
        DeviceRows.wide(half, x));
  }
}
