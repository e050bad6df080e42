package org.ftcluster.worker.tensor.kernel;

import org.ftcluster.worker.tensor.Brgemm;
import org.ftcluster.worker.tensor.Brgemm.Matrix;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Parallel;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;
import org.ftcluster.worker.tensor.Workspace;

/**
 * A product of few rows, with a large second factor: threads share out blocks of its columns, and
 * pair its rows chunk by chunk, so that a chunk is still in the caches when it is multiplied.
 *
 * @param n columns of a block
 * @param chunk rows of b that are multiplied at once
 * @param a [M, K] with dense rows, or [K / chunk, M, chunk] where it was transposed
 * @param b [K, N] with dense rows
 * @param sums of M rows and N columns
 */
record ColumnBlocks(int n, int chunk, Tensor a, Tensor b, Sums sums) {
  /** Sums of a block; they and a chunk stay in a thread's caches. */
  private static final int BLOCK = 1 << 17;

  /** Of b, in a chunk, which is the same for any number of threads: sums begin anew in each. */
  private static final int ELEMENTS = 1 << 18;

  /** The longer the rows of a chunk, the better a processor fetches ahead. */
  private static final int MOST_COLUMNS = 2048;

  private static final int MOST_ROWS = 512;

  /** Rows of a chunk are a multiple of these. */
  private static final int TILE = 32;

  /** Elements that are worth a piece of their own to transpose. */
  private static final int GRAIN = 1 << 14;

  /**
   * {@code sums = a b}.
   *
   * @param a [M, K] with dense rows or columns, K even
   * @param b [K, N] with dense rows
   */
  static void multiply(Workspace workspace, Parallel.Cost cost, Sums sums, Tensor a, Tensor b) {
    int m = Math.toIntExact(a.size(0));
    int width = Tiles.pad(Math.toIntExact(b.size(1)), Rows.FLOATS.length());
    int n = columns(m, width);
    int chunk = Math.min(ELEMENTS / Math.min(width, mostColumns(m)) / TILE * TILE, MOST_ROWS);
    int blocks = (width + n - 1) / n;
    int threads = Math.min(blocks, Parallel.threads());
    try (Scope scope = workspace.open()) {
      ColumnBlocks product = new ColumnBlocks(n, chunk, rows(scope, a, chunk), b, sums);
      Tensor tiles = scope.empty(DType.FLOAT32, (long) threads * m, RowPairs.stride(n));
      Tensor pairs = scope.empty(DType.INT32, (long) threads * chunk / 2, RowPairs.stride(n));
      Parallel.rows(
          cost,
          blocks,
          1,
          (thread, from, to) ->
              product.run(
                  Matrix.of(tiles).at((long) thread * m, 0),
                  Matrix.of(pairs).at((long) thread * chunk / 2, 0),
                  from,
                  to));
    }
  }

  /** Of a block: as many as have room, and about as many for each thread. */
  private static int columns(int m, int width) {
    int share = (width + Parallel.threads() - 1) / Parallel.threads();
    int most = mostColumns(m);
    int blocks = (share + most - 1) / most;
    return Tiles.pad((share + blocks - 1) / blocks, Rows.FLOATS.length());
  }

  private static int mostColumns(int m) {
    return Math.clamp(BLOCK / m, Rows.FLOATS.length(), MOST_COLUMNS);
  }

  /** A matrix as it is where its rows are dense. */
  private static Tensor rows(Scope scope, Tensor a, int chunk) {
    if (a.stride(1) == 1) {
      return a;
    }
    int m = Math.toIntExact(a.size(0));
    int k = Math.toIntExact(a.size(1));
    int chunks = (k + chunk - 1) / chunk;
    Tensor transposed = scope.empty(DType.BFLOAT16, chunks, m, chunk);
    Matrix columns = Matrix.of(a.transpose());
    Parallel.rows(
        Parallel.Cost.through("transposition", a, a),
        chunks,
        Math.max(1, GRAIN / (m * chunk)),
        (first, end) -> {
          for (int i = first; i < end; i++) {
            int from = i * chunk;
            RowPairs.transpose(
                columns.at(from, 0),
                Math.min(chunk, k - from) / 2,
                m,
                new Matrix(transposed.memory(), (long) from * m, chunk));
          }
        });
    return transposed;
  }

  /** Blocks {@code first} to {@code end}, by way of {@code tile} and {@code pairs}. */
  private void run(Matrix tile, Matrix pairs, int first, int end) {
    int m = Math.toIntExact(sums.out().size(0));
    int k = Math.toIntExact(b.size(0));
    int columns = Math.toIntExact(b.size(1));
    for (int column = first * n; column < Math.min(columns, end * n); column += n) {
      int count = Math.min(n, columns - column);
      int padded = Tiles.pad(count, Rows.FLOATS.length());
      for (int row = 0; row < k; row += chunk) {
        int rows = Math.min(chunk, k - row);
        RowPairs.ofRows(Matrix.of(b).at(row, column), rows / 2, count, pairs);
        Brgemm.multiply(m, padded, rows, chunkOfA(m, row), pairs, tile, row > 0);
      }
      sums.write(tile, 0, m, column, count);
    }
    Brgemm.release();
  }

  /** Of a, from column {@code from} on. */
  private Matrix chunkOfA(int m, int from) {
    return a.rank() == 2
        ? Matrix.of(a).at(0, from)
        : new Matrix(a.memory(), (long) from * m, chunk);
  }
}
