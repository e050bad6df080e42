package org.ftcluster.worker.tensor.kernel;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import org.ftcluster.worker.tensor.Kernel;
import org.ftcluster.worker.tensor.Parallel.Cost;
import org.ftcluster.worker.tensor.Scratch;
import org.ftcluster.worker.tensor.Tensor;

/** {@link CrossEntropy} on an accelerator. Waits for it, since the losses go to the host. */
final class DeviceCrossEntropy {
  private DeviceCrossEntropy() {}

  /**
   * @param scale NaN where no gradient is wanted
   */
  static void run(Tensor logits, int[] targets, int start, float[] losses, double scale) {
    int width = DeviceRows.width(logits);
    int rows = Math.toIntExact(logits.size(0));
    int[] own = Arrays.copyOfRange(targets, start, start + rows);
    for (int target : own) {
      if (target >= width) {
        throw new IllegalArgumentException(
            "target %d of a vocabulary of %d".formatted(target, width));
      }
    }
    boolean differentiates = !Double.isNaN(scale);
    Scratch scratch = logits.device().scratch();
    MemorySegment places = scratch.upload(own);
    MemorySegment results = scratch.allocate((long) rows * Float.BYTES);
    DeviceRows.run(
        differentiates
            ? Cost.through("cross-entropy", logits, logits)
            : Cost.through("cross-entropy", logits),
        logits,
        new Kernel("cross_entropy", "cross_entropy", logits.dtype()),
        rows,
        logits,
        logits.stride(0),
        places,
        results,
        width,
        scale,
        differentiates ? 1 : 0,
        DeviceRows.wide(width, logits));
    scratch.download(results, losses, start, rows);
  }
}
