package org.ftcluster.worker.tensor.kernel;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import jdk.incubator.vector.IntVector;
import org.ftcluster.worker.tensor.Brgemm.Matrix;

/**
 * Matrices of bfloat16 on their way into the form of {@link org.ftcluster.worker.tensor.Brgemm}'s
 * second factor: {@code [rows / 2, columns, 2]}, numbers of two rows side by side, which is a
 * matrix of 32-bit pairs.
 */
final class RowPairs {
  private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED;
  private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED;
  private static final int LANES = Rows.INTS.length();

  /** Elements of four bytes in a cache line. */
  private static final int LINE = 16;

  private RowPairs() {}

  /**
   * Elements of four bytes from one row of scratch to the next: whole cache lines, an odd number of
   * them, or rows would begin in a few of a cache's sets and drive each other out.
   */
  static int stride(int columns) {
    int lines = (columns + LINE - 1) / LINE;
    return (lines | 1) * LINE;
  }

  /**
   * Pairs rows of a matrix.
   *
   * @param pairs of rows
   * @param to with the stride of a pair of rows in pairs of elements
   */
  static void ofRows(Matrix from, int pairs, int columns, Matrix to) {
    for (int pair = 0; pair < pairs; pair++) {
      long first = from.from() + 2 * pair * from.stride();
      long target = to.from() + pair * to.stride();
      interleave(from.memory(), first, first + from.stride(), to.memory(), target, columns);
    }
  }

  /**
   * Pairs columns of a matrix, that is rows of its transpose, which lie side by side already.
   *
   * @param pairs of columns
   * @param to [pairs, rows, 2], with the stride of a pair in pairs of elements
   */
  static void ofColumns(Matrix from, int pairs, int rows, Matrix to) {
    for (int pair = 0; pair < pairs; pair++) {
      long source = (from.from() + 2 * pair) * Short.BYTES;
      long target = (to.from() + pair * to.stride()) * Integer.BYTES;
      copy(from.memory(), source, from.stride() * Short.BYTES, to.memory(), target, rows);
    }
  }

  /**
   * Turns columns of a matrix into rows.
   *
   * @param pairs of rows
   * @param to [columns, 2 pairs]
   */
  static void transpose(Matrix from, int pairs, int columns, Matrix to) {
    for (int column = 0; column < columns; column++) {
      long source = (from.from() + column) * Short.BYTES;
      long target = (to.from() + column * to.stride()) * Short.BYTES;
      gather(from.memory(), source, from.stride() * Short.BYTES, to.memory(), target, pairs);
    }
  }

  private static void interleave(
      MemorySegment from, long first, long second, MemorySegment to, long target, int columns) {
    int i = 0;
    for (int end = Rows.INTS.loopBound(columns); i < end; i += LANES) {
      IntVector low = VectorMath.loadHalves(from, first + i);
      IntVector high = VectorMath.loadHalves(from, second + i);
      VectorMath.store(VectorMath.pairs(low, high), to, target + i);
    }
    for (; i < columns; i++) {
      int low = from.get(SHORT, (first + i) * Short.BYTES) & 0xFFFF;
      int high = from.get(SHORT, (second + i) * Short.BYTES) << 16;
      to.set(INT, (target + i) * Integer.BYTES, low | high);
    }
  }

  /** Places and the stride are counted in bytes. */
  private static void copy(
      MemorySegment from, long source, long stride, MemorySegment to, long target, int rows) {
    for (int row = 0; row < rows; row++) {
      to.set(INT, target + (long) row * Integer.BYTES, from.get(INT, source + row * stride));
    }
  }

  private static void gather(
      MemorySegment from, long source, long stride, MemorySegment to, long target, int pairs) {
    for (int pair = 0; pair < pairs; pair++) {
      int low = from.get(SHORT, source + 2 * pair * stride) & 0xFFFF;
      int high = from.get(SHORT, source + (2 * pair + 1) * stride) << 16;
      to.set(INT, target + (long) pair * Integer.BYTES, low | high);
    }
  }
}
