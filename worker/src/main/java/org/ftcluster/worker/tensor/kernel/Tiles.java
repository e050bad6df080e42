package org.ftcluster.worker.tensor.kernel;

import jdk.incubator.vector.FloatVector;

/**
 * Products of small float32 matrices that stay in the caches, where a call into a general library
 * would cost more than the product. All sizes are padded by the caller, so there are no edges. A
 * sum runs over k from first to last, whatever the tile, so results don't depend on how rows are
 * grouped.
 */
final class Tiles {
  /** Rows of the result come in multiples of this. */
  static final int ROWS = 4;

  private static final int LANES = Rows.FLOATS.length();

  /** Columns of the result come in multiples of this. */
  static final int COLUMNS = 2 * LANES;

  private Tiles() {}

  /** The least multiple of {@code step} that is no less than {@code size}. */
  static int pad(int size, int step) {
    return (size + step - 1) / step * step;
  }

  /**
   * {@code c (+)= a b} with c [m, n] and b [k, n], both row by row, and a [m, k] of any strides.
   *
   * @param rowStride of a, from one of the m rows to the next
   * @param stepStride of a, from one of the k columns to the next
   * @param accumulate whether c is added to, or overwritten
   */
  static void multiply(
      float[] a,
      int fromA,
      int rowStride,
      int stepStride,
      float[] b,
      int fromB,
      int strideB,
      float[] c,
      int fromC,
      int strideC,
      int m,
      int k,
      int n,
      boolean accumulate) {
    for (int column = 0; column < n; column += COLUMNS) {
      for (int row = 0; row < m; row += ROWS) {
        tile(
            a,
            fromA + row * rowStride,
            rowStride,
            stepStride,
            b,
            fromB + column,
            strideB,
            c,
            fromC + row * strideC + column,
            strideC,
            k,
            accumulate);
      }
    }
  }

  /** Four rows by two registers: eight sums, as many as hide the latency of a multiply-add. */
  private static void tile(
      float[] a,
      int fromA,
      int rowStride,
      int stepStride,
      float[] b,
      int fromB,
      int strideB,
      float[] c,
      int fromC,
      int strideC,
      int k,
      boolean accumulate) {
    FloatVector zero = FloatVector.zero(Rows.FLOATS);
    FloatVector c00 = zero;
    FloatVector c01 = zero;
    FloatVector c10 = zero;
    FloatVector c11 = zero;
    FloatVector c20 = zero;
    FloatVector c21 = zero;
    FloatVector c30 = zero;
    FloatVector c31 = zero;
    int i = fromA;
    int j = fromB;
    for (int step = 0; step < k; step++) {
      FloatVector b0 = FloatVector.fromArray(Rows.FLOATS, b, j);
      FloatVector b1 = FloatVector.fromArray(Rows.FLOATS, b, j + LANES);
      FloatVector a0 = FloatVector.broadcast(Rows.FLOATS, a[i]);
      c00 = a0.fma(b0, c00);
      c01 = a0.fma(b1, c01);
      FloatVector a1 = FloatVector.broadcast(Rows.FLOATS, a[i + rowStride]);
      c10 = a1.fma(b0, c10);
      c11 = a1.fma(b1, c11);
      FloatVector a2 = FloatVector.broadcast(Rows.FLOATS, a[i + 2 * rowStride]);
      c20 = a2.fma(b0, c20);
      c21 = a2.fma(b1, c21);
      FloatVector a3 = FloatVector.broadcast(Rows.FLOATS, a[i + 3 * rowStride]);
      c30 = a3.fma(b0, c30);
      c31 = a3.fma(b1, c31);
      i += stepStride;
      j += strideB;
    }
    store(c00, c01, c, fromC, accumulate);
    store(c10, c11, c, fromC + strideC, accumulate);
    store(c20, c21, c, fromC + 2 * strideC, accumulate);
    store(c30, c31, c, fromC + 3 * strideC, accumulate);
  }

  private static void store(
      FloatVector first, FloatVector second, float[] c, int from, boolean accumulate) {
    if (accumulate) {
      first.add(FloatVector.fromArray(Rows.FLOATS, c, from)).intoArray(c, from);
      second.add(FloatVector.fromArray(Rows.FLOATS, c, from + LANES)).intoArray(c, from + LANES);
    } else {
      first.intoArray(c, from);
      second.intoArray(c, from + LANES);
    }
  }
}
