package org.ftcluster.worker.tensor.kernel;

import org.ftcluster.worker.tensor.Brgemm;
import org.ftcluster.worker.tensor.Brgemm.Matrix;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Parallel;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;
import org.ftcluster.worker.tensor.Workspace;

/**
 * A product whose second factor is small: its rows are paired once, and threads share out blocks of
 * the first factor's rows.
 *
 * @param m rows of a block
 * @param n columns of a block
 * @param a [M, K] with dense rows
 * @param pairs of b's rows: [K / 2, N, 2], with room for whole registers
 * @param sums of M rows and N columns
 */
record RowBlocks(int m, int n, Tensor a, Tensor pairs, Sums sums) {
  /**
   * Whole rows, where they aren't too long: processors fetch ahead what is read in long stretches.
   */
  private static final int MOST_COLUMNS = 4096;

  /** More, and rows of thousands of columns are out of the caches before they are used again. */
  private static final int MOST_ROWS = 32;

  /** Elements that are worth a piece of their own to pair. */
  private static final int GRAIN = 1 << 15;

  /**
   * {@code sums = a b}.
   *
   * @param a [M, K] with dense rows, K even
   * @param b [K, N] with dense rows or columns
   */
  static void multiply(Workspace workspace, Parallel.Cost cost, Sums sums, Tensor a, Tensor b) {
    int all = Math.toIntExact(a.size(0));
    int width = Tiles.pad(Math.toIntExact(b.size(1)), Rows.FLOATS.length());
    int n = Math.min(width, MOST_COLUMNS);
    int m = Math.min(all, MOST_ROWS);
    int blocks = (all + m - 1) / m;
    int threads = Math.min(blocks, Parallel.threads());
    try (Scope scope = workspace.open()) {
      Tensor pairs = scope.empty(DType.INT32, a.size(1) / 2, RowPairs.stride(width));
      pair(b, pairs);
      RowBlocks product = new RowBlocks(m, n, a, pairs, sums);
      Tensor tiles = scope.empty(DType.FLOAT32, (long) threads * m, RowPairs.stride(n));
      Parallel.rows(
          cost,
          blocks,
          1,
          (thread, from, to) -> product.run(Matrix.of(tiles).at((long) thread * m, 0), from, to));
    }
  }

  private static void pair(Tensor b, Tensor pairs) {
    int columns = Math.toIntExact(b.size(1));
    boolean dense = b.stride(1) == 1;
    Matrix from = Matrix.of(dense ? b : b.transpose());
    Matrix to = Matrix.of(pairs);
    Parallel.rows(
        Parallel.Cost.through("pairs of rows", b, b),
        pairs.size(0),
        GRAIN / columns,
        (first, end) -> {
          if (dense) {
            RowPairs.ofRows(from.at(2L * first, 0), end - first, columns, to.at(first, 0));
          } else {
            RowPairs.ofColumns(from.at(0, 2L * first), end - first, columns, to.at(first, 0));
          }
        });
  }

  /** Blocks {@code first} to {@code end}, by way of {@code tile}. */
  private void run(Matrix tile, int first, int end) {
    int rows = Math.toIntExact(a.size(0));
    int columns = Math.toIntExact(sums.out().size(1));
    int width = Tiles.pad(columns, Rows.FLOATS.length());
    int k = Math.toIntExact(a.size(1));
    for (int block = first; block < end; block++) {
      // The last one overlaps the one before, since code is made for each size of block.
      int from = Math.min(block * m, rows - m);
      int known = block * m - from;
      for (int column = 0; column < columns; column += n) {
        int count = Math.min(n, width - column);
        Matrix b = Matrix.of(pairs).at(0, column);
        Brgemm.multiply(m, count, k, Matrix.of(a).at(from, 0), b, tile, false);
        sums.write(
            tile.at(known, 0), from + known, m - known, column, Math.min(n, columns - column));
      }
    }
    Brgemm.release();
  }
}
