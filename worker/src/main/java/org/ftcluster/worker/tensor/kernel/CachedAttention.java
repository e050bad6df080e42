package org.ftcluster.worker.tensor.kernel;

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
   * @param out [B, H C]
   * @param query [B, H C]
   * @param keys of each of the B sequences, [at least its length, K C]
   * @param lengths tokens of each sequence, the new one included
   * @param window tokens to look back over, the new one included; 0 for all
   */
  public static void forward(
      Tensor out,
      Tensor query,
      List<Tensor> keys,
      List<Tensor> values,
      int[] lengths,
      int headSize,
      int window,
      double scale) {
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
            int first = window == 0 ? 0 : Math.max(0, lengths[b] - window);
            attend(
                o,
                q,
                Rows.of(keys.get(b)),
                Rows.of(values.get(b)),
                first,
                lengths[b],
                headSize,
                (float) scale);
            outputs.write(b, o);
          }
        });
  }

  private static void attend(
      float[] out,
      float[] query,
      Rows keys,
      Rows values,
      int first,
      int length,
      int headSize,
      float scale) {
    int heads = query.length / headSize;
    int group = heads / (keys.width() / headSize);
    float[] row = new float[keys.width()];
    float[][] scores = new float[heads][length - first];
    for (int t = first; t < length; t++) {
      keys.read(t, row);
      for (int h = 0; h < heads; h++) {
        scores[h][t - first] =
            scale * VectorMath.dot(query, h * headSize, row, h / group * headSize, headSize);
      }
    }
    for (float[] score : scores) {
      softmax(score);
    }
    java.util.Arrays.fill(out, 0);
    for (int t = first; t < length; t++) {
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
