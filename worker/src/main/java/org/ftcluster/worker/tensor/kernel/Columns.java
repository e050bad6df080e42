package org.ftcluster.worker.tensor.kernel;

import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Parallel;
import org.ftcluster.worker.tensor.Tensor;

/**
 * Sums over the rows of a matrix, one for each column. Threads share the columns out, so each sum
 * has the same order of terms whatever their number.
 */
final class Columns {
  /** A few cache lines of every row. */
  private static final int GRAIN = 256;

  private Columns() {}

  /** Adds up a few columns. */
  @FunctionalInterface
  interface Summation {
    /**
     * @param first column
     * @param sums zeros on entry, one for each column from {@code first} on
     */
    void run(int first, float[] sums);
  }

  /**
   * Writes {@code width} sums.
   *
   * @param target float32 [width]
   */
  static void write(Parallel.Cost cost, Tensor target, int width, Summation summation) {
    if (target.rank() != 1 || target.size(0) != width || target.dtype() != DType.FLOAT32) {
      throw new IllegalArgumentException("%d sums of columns in %s".formatted(width, target));
    }
    Parallel.rows(
        cost,
        width,
        GRAIN,
        (from, to) -> {
          float[] sums = new float[to - from];
          summation.run(from, sums);
          Rows.write(target.memory(), DType.FLOAT32, from, sums, sums.length);
        });
  }
}
