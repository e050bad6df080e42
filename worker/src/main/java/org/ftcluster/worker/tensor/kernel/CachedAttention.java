package org.ftcluster.worker.tensor.kernel;

import java.util.Arrays;
import java.util.List;
import org.ftcluster.worker.tensor.Parallel;
import org.ftcluster.worker.tensor.Tensor;

/**
 * Attention of one new token a sequence to all tokens before it and itself, whose keys and values
 * are at hand.
 */
public final class CachedAttention {
  private CachedAttention() {}

  /**
   * Where keys and values of the B sequences lie.
   *
   * @param firsts row of the first one that is looked at
   * @param lasts row of the new token's own
   */
  public record Places(int[] firsts, int[] lasts) {
    /**
     * What is looked at of sequences that begin at these rows.
     *
     * @param window tokens to look back over, the new one included; 0 for all
     */
    public static Places of(int[] starts, int[] lasts, int window) {
      int[] firsts = starts.clone();
      if (window > 0) {
        Arrays.setAll(firsts, i -> Math.max(starts[i], lasts[i] - window + 1));
      }
      return new Places(firsts, lasts);
    }

    private boolean areWithin(long rows) {
      if (firsts.length != lasts.length) {
        return false;
      }
      for (int b = 0; b < firsts.length; b++) {
        if (firsts[b] < 0 || firsts[b] > lasts[b] || lasts[b] >= rows) {
          return false;
        }
      }
      return true;
    }
  }

  /**
   * @param out [B, H C]
   * @param query [B, H C]
   * @param keys [at least all places, K C]
   * @param values as {@code keys}
   */
  public static void forward(
      Tensor out,
      Tensor query,
      Tensor keys,
      Tensor values,
      Places places,
      int headSize,
      Scores rule) {
    check(out, query, keys, values, places, headSize);
    if (out.isOnDevice()) {
      DeviceAttention.cached(out, query, keys, values, places, headSize, rule);
      return;
    }
    Rows keyRows = Rows.of(keys);
    Rows valueRows = Rows.of(values);
    Rows queries = Rows.of(query);
    Rows outputs = Rows.of(out);
    Parallel.rows(
        Parallel.Cost.through("attention: cached", query, out),
        query.size(0),
        1,
        (from, to) -> {
          float[] q = new float[queries.width()];
          float[] o = new float[queries.width()];
          for (int b = from; b < to; b++) {
            queries.read(b, q);
            int end = places.lasts()[b] + 1;
            attend(o, q, keyRows, valueRows, places.firsts()[b], end, headSize, rule);
            outputs.write(b, o);
          }
        });
  }

  private static void check(
      Tensor out, Tensor query, Tensor keys, Tensor values, Places places, int headSize) {
    boolean fits =
        Arrays.equals(out.shape(), query.shape())
            && Arrays.equals(keys.shape(), values.shape())
            && query.size(1) % keys.size(1) == 0
            && keys.size(1) % headSize == 0
            && places.firsts().length == query.size(0)
            && places.areWithin(keys.size(0));
    for (Tensor tensor : List.of(out, keys, values)) {
      fits &= tensor.isContiguous() && tensor.dtype() == query.dtype() && tensor.isBeside(query);
    }
    if (!fits || !query.isContiguous()) {
      throw new IllegalArgumentException(
          "attention of %s, heads of %d, to %d places of %s and %s, giving %s"
              .formatted(query, headSize, places.firsts().length, keys, values, out));
    }
  }

  private static void attend(
      float[] out,
      float[] query,
      Rows keys,
      Rows values,
      int first,
      int end,
      int headSize,
      Scores rule) {
    int heads = query.length / headSize;
    int group = heads / (keys.width() / headSize);
    float[] row = new float[keys.width()];
    float[][] scores = new float[heads][end - first];
    for (int t = first; t < end; t++) {
      keys.read(t, row);
      for (int h = 0; h < heads; h++) {
        scores[h][t - first] =
            rule.of(VectorMath.dot(query, h * headSize, row, h / group * headSize, headSize));
      }
    }
    for (float[] score : scores) {
      softmax(score);
    }
    Arrays.fill(out, 0);
    for (int t = first; t < end; t++) {
      values.read(t, row);
      for (int h = 0; h < heads; h++) {
        float p = scores[h][t - first];
        int to = h * headSize;
        int from = h / group * headSize;
        for (int i = 0; i < headSize; i++) {
          out[to + i] += p * row[from + i];
        }
      }
    }
  }

  private static void softmax(float[] scores) {
    float max = Float.NEGATIVE_INFINITY;
    for (float score : scores) {
      max = Math.max(max, score);
    }
    float sum = 0;
    for (int i = 0; i < scores.length; i++) {
      scores[i] = (float) Math.exp(scores[i] - max);
      sum += scores[i];
    }
    for (int i = 0; i < scores.length; i++) {
      scores[i] /= sum;
    }
  }
}
