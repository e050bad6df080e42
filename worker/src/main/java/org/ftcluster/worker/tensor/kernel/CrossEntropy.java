package org.ftcluster.worker.tensor.kernel;

import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;
import org.ftcluster.worker.tensor.Parallel;
import org.ftcluster.worker.tensor.Tensor;

/**
 * Cross-entropy of rows of logits, {@code logsumexp(z) - z[target]} in nats, and its gradient in
 * place.
 */
public final class CrossEntropy {
  private static final int GRAIN = 4;

  private CrossEntropy() {}

  /**
   * @param logits [N, V]
   * @param targets of each row, negative for one that carries no loss; {@code targets[start]}
   *     belongs to row 0
   * @param losses where each row's loss goes, from index {@code start}
   */
  public static void forward(Tensor logits, int[] targets, int start, float[] losses) {
    run(logits, targets, start, losses, Double.NaN);
  }

  /**
   * As {@link #forward}; then turns {@code logits} into the gradient of {@code scale} times the sum
   * of the losses.
   */
  public static void forwardBackward(
      Tensor logits, int[] targets, int start, float[] losses, double scale) {
    run(logits, targets, start, losses, scale);
  }

  private static void run(Tensor logits, int[] targets, int start, float[] losses, double scale) {
    if (logits.isOnDevice()) {
      DeviceCrossEntropy.run(logits, targets, start, losses, scale);
      return;
    }
    Rows rows = Rows.of(logits);
    Parallel.rows(
        Double.isNaN(scale)
            ? Parallel.Cost.through("cross-entropy", logits)
            : Parallel.Cost.through("cross-entropy", logits, logits),
        logits.size(0),
        GRAIN,
        (from, to) -> {
          float[] row = new float[rows.width()];
          for (int n = from; n < to; n++) {
            int target = targets[start + n];
            if (target >= row.length) {
              throw new IllegalArgumentException(
                  "target %d of a vocabulary of %d".formatted(target, row.length));
            }
            if (target < 0) {
              losses[start + n] = 0;
              if (!Double.isNaN(scale)) {
                Arrays.fill(row, 0);
                rows.write(n, row);
              }
              continue;
            }
            rows.read(n, row);
            float max = max(row);
            float hit = row[target];
            float sum = exponentiate(row, max);
            losses[start + n] = (float) (Math.log(sum) + max - hit);
            if (!Double.isNaN(scale)) {
              float factor = (float) (scale / sum);
              for (int i = 0; i < row.length; i++) {
                row[i] *= factor;
              }
              row[target] -= (float) scale;
              rows.write(n, row);
            }
          }
        });
  }

  static float max(float[] row) {
    FloatVector best = FloatVector.broadcast(Rows.FLOATS, Float.NEGATIVE_INFINITY);
    int i = 0;
    for (int end = Rows.FLOATS.loopBound(row.length); i < end; i += Rows.FLOATS.length()) {
      best = VectorMath.max(best, FloatVector.fromArray(Rows.FLOATS, row, i));
    }
    float max = best.reduceLanes(VectorOperators.MAX);
    for (; i < row.length; i++) {
      max = Math.max(max, row[i]);
    }
    return max;
  }

  /** Replaces each element by {@code exp(element - max)} and returns their sum. */
  static float exponentiate(float[] row, float max) {
    FloatVector sum = FloatVector.zero(Rows.FLOATS);
    int i = 0;
    for (int end = Rows.FLOATS.loopBound(row.length); i < end; i += Rows.FLOATS.length()) {
      FloatVector e = VectorMath.exp(FloatVector.fromArray(Rows.FLOATS, row, i).sub(max));
      e.intoArray(row, i);
      sum = sum.add(e);
    }
    float total = VectorMath.sumLanes(sum);
    for (; i < row.length; i++) {
      row[i] = VectorMath.exp(row[i] - max);
      total += row[i];
    }
    return total;
  }
}
