package org.ftcluster.worker.tensor.kernel;

import org.ftcluster.worker.tensor.Tensor;

/** Moving and adding rows of matrices. */
public final class RowOps {
  private static final int GRAIN = 64;

  private RowOps() {}

  /** {@code to[n] = from[rows[n]]}, converting between types. */
  public static void gather(Tensor to, Tensor from, int[] rows) {
    check(to, from, rows, to.size(0), from.size(0));
    Rows source = Rows.of(from);
    Rows target = Rows.of(to);
    Parallel.rows(
        rows.length,
        GRAIN,
        (first, last) -> {
          float[] row = new float[source.width()];
          for (int n = first; n < last; n++) {
            source.read(rows[n], row);
            target.write(n, row);
          }
        });
  }

  /** {@code to[rows[n]] += from[n]}; no row may be named twice. */
  public static void scatterAdd(Tensor to, Tensor from, int[] rows) {
    check(to, from, rows, from.size(0), to.size(0));
    Rows source = Rows.of(from);
    Rows target = Rows.of(to);
    Parallel.rows(
        rows.length,
        GRAIN,
        (first, last) -> {
          float[] row = new float[source.width()];
          float[] sum = new float[source.width()];
          for (int n = first; n < last; n++) {
            source.read(n, row);
            target.read(rows[n], sum);
            accumulate(sum, row);
            target.write(rows[n], sum);
          }
        });
  }

  /** {@code to += from}, row by row. */
  public static void add(Tensor to, Tensor from) {
    checkWidths(to, from);
    Rows source = Rows.of(from);
    Rows target = Rows.of(to);
    Parallel.rows(
        to.size(0),
        GRAIN,
        (first, last) -> {
          float[] row = new float[source.width()];
          float[] sum = new float[source.width()];
          for (int n = first; n < last; n++) {
            source.read(n, row);
            target.read(n, sum);
            accumulate(sum, row);
            target.write(n, sum);
          }
        });
  }

  /**
   * {@code to += mask from / (1 - p)}, where each element is dropped with probability {@code p}: a
   * function of the seed and the element's place alone (arXiv:1207.0580, with the scaling at
   * training time).
   */
  public static void addDropped(Tensor to, Tensor from, double p, long seed) {
    checkWidths(to, from);
    Rows source = Rows.of(from);
    Rows target = Rows.of(to);
    long threshold = (long) (p * (1L << 32));
    float scale = (float) (1 / (1 - p));
    Parallel.rows(
        to.size(0),
        GRAIN,
        (first, last) -> {
          float[] row = new float[source.width()];
          float[] sum = new float[source.width()];
          for (int n = first; n < last; n++) {
            source.read(n, row);
            target.read(n, sum);
            for (int i = 0; i < row.length; i++) {
              long random = mix(seed + ((long) n * row.length + i) * 0x9E3779B97F4A7C15L) >>> 32;
              sum[i] += random < threshold ? 0 : row[i] * scale;
            }
            target.write(n, sum);
          }
        });
  }

  /** SplitMix64's output function (doi:10.1145/2660193.2660195). */
  private static long mix(long z) {
    z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
    z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
    return z ^ (z >>> 31);
  }

  /** {@code to[n] = vector} for every row: where a product with a bias starts from. */
  public static void fill(Tensor to, float[] vector) {
    Rows target = Rows.of(to);
    if (vector.length != target.width()) {
      throw new IllegalArgumentException("%d elements for rows of %s".formatted(vector.length, to));
    }
    Parallel.rows(
        to.size(0),
        GRAIN,
        (first, last) -> {
          for (int n = first; n < last; n++) {
            target.write(n, vector);
          }
        });
  }

  /** {@code to = from}, converting between types. */
  public static void copy(Tensor to, Tensor from) {
    checkWidths(to, from);
    Rows source = Rows.of(from);
    Rows target = Rows.of(to);
    Parallel.rows(
        to.size(0),
        GRAIN,
        (first, last) -> {
          float[] row = new float[source.width()];
          for (int n = first; n < last; n++) {
            source.read(n, row);
            target.write(n, row);
          }
        });
  }

  private static void accumulate(float[] sum, float[] row) {
    for (int i = 0; i < sum.length; i++) {
      sum[i] += row[i];
    }
  }

  private static void check(Tensor to, Tensor from, int[] rows, long count, long bound) {
    if (to.size(1) != from.size(1) || count != rows.length) {
      throw new IllegalArgumentException("%d rows from %s to %s".formatted(rows.length, from, to));
    }
    for (int row : rows) {
      if (row < 0 || row >= bound) {
        throw new IllegalArgumentException("row " + row + " of " + bound);
      }
    }
  }

  private static void checkWidths(Tensor to, Tensor from) {
    if (to.size(0) != from.size(0) || to.size(1) != from.size(1)) {
      throw new IllegalArgumentException("%s and %s differ in shape".formatted(to, from));
    }
  }
}
