package org.ftcluster.worker.tensor.kernel;

import java.util.Arrays;
import org.ftcluster.worker.tensor.Parallel;
import org.ftcluster.worker.tensor.Tensor;

/**
 * {@link CrossEntropy} where each of several places has the logits of a part of the vocabulary: a
 * few numbers a row go from each to all between the two looks at the logits.
 */
public final class SlicedCrossEntropy {
  private static final int GRAIN = 4;

  /** Of a row of a slice: its largest logit, the sum of exponentials less that, the target's. */
  static final int NUMBERS = 3;

  private SlicedCrossEntropy() {}

  /**
   * What a slice knows of its rows: three numbers each.
   *
   * @param logits [N, V]
   * @param targets of each row over the whole vocabulary, negative for one that carries no loss;
   *     {@code targets[start]} belongs to row 0
   * @param firstToken of the slice
   */
  public static float[] statistics(Tensor logits, int[] targets, int start, int firstToken) {
    if (logits.isOnDevice()) {
      return DeviceSlicedCrossEntropy.statistics(logits, targets, start, firstToken);
    }
    Rows rows = Rows.of(logits);
    float[] numbers = new float[Math.toIntExact(logits.size(0)) * NUMBERS];
    Parallel.rows(
        Parallel.Cost.through("cross-entropy of a slice", logits),
        logits.size(0),
        GRAIN,
        (from, to) -> {
          float[] row = new float[rows.width()];
          for (int n = from; n < to; n++) {
            int target = targets[start + n];
            if (target < 0) {
              continue;
            }
            rows.read(n, row);
            int place = target - firstToken;
            float hit = place >= 0 && place < row.length ? row[place] : 0;
            float max = CrossEntropy.max(row);
            numbers[n * NUMBERS] = max;
            numbers[n * NUMBERS + 1] = CrossEntropy.exponentiate(row, max);
            numbers[n * NUMBERS + 2] = hit;
          }
        });
    return numbers;
  }

  /**
   * What all slices together know.
   *
   * @param max largest logit of each row
   * @param sum of the exponentials of each row's logits less that
   * @param hit each row's target's logit
   */
  public record Statistics(float[] max, double[] sum, float[] hit) {
    /** As {@link CrossEntropy#forward} leaves them. */
    public void losses(int[] targets, int start, float[] losses) {
      for (int n = 0; n < max.length; n++) {
        losses[start + n] =
            targets[start + n] < 0 ? 0 : (float) (StrictMath.log(sum[n]) + max[n] - hit[n]);
      }
    }

    /** What makes gradients of each row's exponentials. */
    private float[] factors(double scale) {
      float[] factors = new float[sum.length];
      for (int n = 0; n < factors.length; n++) {
        factors[n] = (float) (scale / sum[n]);
      }
      return factors;
    }
  }

  /**
   * @param numbers all slices' {@link #statistics}, one after the other
   */
  public static Statistics combine(float[] numbers, int rows) {
    float[] max = new float[rows];
    double[] sum = new double[rows];
    float[] hit = new float[rows];
    Arrays.fill(max, Float.NEGATIVE_INFINITY);
    for (int i = 0; i < numbers.length; i += NUMBERS) {
      int n = i / NUMBERS % rows;
      max[n] = Math.max(max[n], numbers[i]);
      hit[n] += numbers[i + 2];
    }
    for (int i = 0; i < numbers.length; i += NUMBERS) {
      int n = i / NUMBERS % rows;
      sum[n] += numbers[i + 1] * StrictMath.exp((double) numbers[i] - max[n]);
    }
    return new Statistics(max, sum, hit);
  }

  /** Turns a slice's logits into the gradient of {@code scale} times the sum of the losses. */
  public static void gradient(
      Tensor logits, int[] targets, int start, int firstToken, Statistics all, double scale) {
    if (logits.isOnDevice()) {
      DeviceSlicedCrossEntropy.gradient(
          logits, targets, start, firstToken, all.max(), all.factors(scale), scale);
      return;
    }
    float[] factors = all.factors(scale);
    Rows rows = Rows.of(logits);
    Parallel.rows(
        Parallel.Cost.through("gradient of a slice's cross-entropy", logits, logits),
        logits.size(0),
        GRAIN,
        (from, to) -> {
          float[] row = new float[rows.width()];
          for (int n = from; n < to; n++) {
            int target = targets[start + n];
            if (target < 0) {
              Arrays.fill(row, 0);
              rows.write(n, row);
              continue;
            }
            rows.read(n, row);
            CrossEntropy.exponentiate(row, all.max()[n]);
            for (int i = 0; i < row.length; i++) {
              row[i] *= factors[n];
            }
            int place = target - firstToken;
            if (place >= 0 && place < row.length) {
              row[place] -= (float) scale;
            }
            rows.write(n, row);
          }
        });
  }
}
