package org.ftcluster.worker.tensor.kernel;

import java.util.Arrays;
import org.ftcluster.worker.tensor.Kernel;
import org.ftcluster.worker.tensor.Parallel.Cost;
import org.ftcluster.worker.tensor.Scratch;
import org.ftcluster.worker.tensor.Tensor;

/** {@link SlicedCrossEntropy} on an accelerator. */
final class DeviceSlicedCrossEntropy {
  private DeviceSlicedCrossEntropy() {}

  /** Waits for what it gives. */
  static float[] statistics(Tensor logits, int[] targets, int start, int firstToken) {
    int width = DeviceRows.width(logits);
    int rows = Math.toIntExact(logits.size(0));
    Scratch scratch = logits.device().scratch();
    float[] numbers = new float[rows * SlicedCrossEntropy.NUMBERS];
    var places = scratch.upload(Arrays.copyOfRange(targets, start, start + rows));
    var results = scratch.allocate((long) numbers.length * Float.BYTES);
    DeviceRows.run(
        Cost.through("cross-entropy of a slice", logits),
        logits,
        new Kernel("cross_entropy", "slice_statistics", logits.dtype()),
        rows,
        logits,
        logits.stride(0),
        places,
        firstToken,
        results,
        width,
        DeviceRows.wide(width, logits));
    scratch.download(results, numbers, 0, numbers.length);
    return numbers;
  }

  /**
   * @param factor of each row's exponentials
   */
  static void gradient(
      Tensor logits,
      int[] targets,
      int start,
      int firstToken,
      float[] max,
      float[] factor,
      double scale) {
    int width = DeviceRows.width(logits);
    int rows = Math.toIntExact(logits.size(0));
    Scratch scratch = logits.device().scratch();
    DeviceRows.run(
        Cost.through("gradient of a slice's cross-entropy", logits, logits),
        logits,
        new Kernel("cross_entropy", "slice_gradient", logits.dtype()),
        rows,
        logits,
        logits.stride(0),
        scratch.upload(Arrays.copyOfRange(targets, start, start + rows)),
        firstToken,
        scratch.upload(max),
        scratch.upload(factor),
        scale,
        width,
        DeviceRows.wide(width, logits));
  }
}
