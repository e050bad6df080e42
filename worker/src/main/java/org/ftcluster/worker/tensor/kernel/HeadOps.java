package org.ftcluster.worker.tensor.kernel;

import java.lang.foreign.MemorySegment;
import org.ftcluster.worker.tensor.Parallel;
import org.ftcluster.worker.tensor.Tensor;

/** What attention needs besides libtorch's fused kernels. */
public final class HeadOps {
  private static final int GRAIN = 32;

  private HeadOps() {}

  /**
   * Sums the gradients of key or value heads over the query heads that share them.
   *
   * @param to [S, K * C]
   * @param from [K, G, S, C] with dense heads
   */
  public static void sumGroups(Tensor to, Tensor from) {
    int keyValueHeads = Math.toIntExact(from.size(0));
    int group = Math.toIntExact(from.size(1));
    int headSize = Math.toIntExact(from.size(3));
    if (from.stride(3) != 1
        || to.size(0) != from.size(2)
        || to.size(1) != (long) keyValueHeads * headSize) {
      throw new IllegalArgumentException("sum over groups of %s into %s".formatted(from, to));
    }
    Rows target = Rows.of(to);
    MemorySegment source = from.memory();
    Parallel.rows(
        Parallel.Cost.through("attention: sum over groups", to, from),
        to.size(0),
        GRAIN,
        (first, last) -> {
          float[] head = new float[headSize];
          float[] sum = new float[headSize];
          for (int s = first; s < last; s++) {
            for (int k = 0; k < keyValueHeads; k++) {
              java.util.Arrays.fill(sum, 0);
              for (int g = 0; g < group; g++) {
                long start = k * from.stride(0) + g * from.stride(1) + s * from.stride(2);
                Rows.read(source, from.dtype(), start, head, headSize);
                for (int i = 0; i < headSize; i++) {
                  sum[i] += head[i];
                }
              }
              target.write(s, k * headSize, sum, headSize);
            }
          }
        });
  }

  /**
   * Fills a mask that is added to attention scores: 0 where token t may look at token u, that is
   * for {@code t - window < u <= t}, and minus infinity elsewhere.
   *
   * @param mask [S, S]
   */
  public static void slidingWindowMask(Tensor mask, int window) {
    Rows rows = Rows.of(mask);
    Parallel.rows(
        Parallel.Cost.through("attention: mask", mask),
        mask.size(0),
        GRAIN,
        (first, last) -> {
          float[] row = new float[rows.width()];
          for (int t = first; t < last; t++) {
            java.util.Arrays.fill(row, Float.NEGATIVE_INFINITY);
            java.util.Arrays.fill(row, Math.max(0, t - window + 1), t + 1, 0f);
            rows.write(t, row);
          }
        });
  }
}
