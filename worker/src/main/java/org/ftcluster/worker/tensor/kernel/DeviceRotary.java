package org.ftcluster.worker.tensor.kernel;

import java.lang.foreign.MemorySegment;
import org.ftcluster.worker.tensor.Kernel;
import org.ftcluster.worker.tensor.Parallel.Cost;
import org.ftcluster.worker.tensor.Scratch;
import org.ftcluster.worker.tensor.Tensor;

/** {@link Rotary} on an accelerator, which computes cosines and sines itself. */
final class DeviceRotary {
  /** Half of what is rotated of the largest head. */
  private static final int LARGEST_HALF = 256;

  private DeviceRotary() {}

  static void rotate(Tensor x, int headSize, int[] positions, Rotary.Angles angles, int direction) {
    int width = DeviceRows.width(x);
    int half = angles.frequencies().length;
    angles.check(x, width, headSize, positions);
    if (half > LARGEST_HALF) {
      throw new IllegalArgumentException("%d elements of a head to rotate".formatted(2 * half));
    }
    Scratch scratch = x.device().scratch();
    MemorySegment places = scratch.upload(positions);
    MemorySegment frequencies = scratch.upload(angles.frequencies());
    DeviceRows.run(
        Cost.through("rotary", x, x),
        x,
        new Kernel("rotary", "rotate", x.dtype()),
        x.size(0),
        x,
        x.stride(0),
        width / headSize,
        headSize,
        half,
        places,
        frequencies,
        angles.magnitude(),
        (float) direction,
        Math.min(DeviceRows.wide(half, x), DeviceRows.wide(headSize)));
  }
}
