package org.ftcluster.worker.quantization;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.ftcluster.worker.tensor.Parallel;
import org.ftcluster.worker.tensor.Tensor;
import org.ftcluster.worker.tensor.kernel.RowReader;
import org.ftcluster.worker.tensor.kernel.RowWriter;

/** From floating point to codes of 8 bits and back, row by row. */
final class Int8Codec {
  /** A row's largest magnitude. */
  private static final float HIGHEST = 127;

  private static final float STEP = 1 / HIGHEST;

  /** Elements that are looked at together, which fit into the nearest cache. */
  private static final int PIECE = 2048;

  /** Nothing is as small but zero; its inverse times 127 is a number. */
  private static final float SMALLEST = 1e-36f;

  private Int8Codec() {}

  /**
   * @param codes gets a byte an element
   * @param absmax gets the largest magnitude of each row
   */
  static void quantize(Tensor matrix, MemorySegment codes, float[] absmax) {
    int columns = Math.toIntExact(matrix.size(1));
    Parallel.rows(
        Parallel.Cost.through("int8 quantization", matrix),
        absmax.length,
        16,
        (from, to) -> {
          float[] x = new float[columns];
          byte[] row = new byte[columns];
          for (int i = from; i < to; i++) {
            long start = (long) i * columns;
            RowReader.read(matrix, start, x, columns);
            absmax[i] = largest(x);
            round(x, 1 / Math.max(absmax[i], SMALLEST) * HIGHEST, row);
            MemorySegment.copy(row, 0, codes, ValueLayout.JAVA_BYTE, start, columns);
          }
        });
  }

  /** Magnitudes are ordered as their bits are, which compilers have vectors for. */
  private static float largest(float[] x) {
    int largest = 0;
    for (float value : x) {
      largest = Math.max(largest, Float.floatToRawIntBits(value) & Integer.MAX_VALUE);
    }
    return Float.intBitsToFloat(largest);
  }

  /**
   * @param factor 127 / absmax, of which PyTorch takes the inverse first: magnitudes of bfloat16
   *     are halves of their row's largest often, and that rounding decides where those go
   */
  private static void round(float[] x, float factor, byte[] codes) {
    for (int i = 0; i < x.length; i++) {
      codes[i] = (byte) Math.rint(x[i] * factor);
    }
  }

  /** Expands rows [from, to) to where they belong in {@code out}. */
  static void expand(MemorySegment codes, float[] absmax, Tensor out, int from, int to) {
    long columns = out.size(1);
    byte[] row = new byte[PIECE];
    float[] x = new float[PIECE];
    for (int i = from; i < to; i++) {
      for (long column = 0; column < columns; column += PIECE) {
        int count = (int) Math.min(PIECE, columns - column);
        long start = i * columns + column;
        MemorySegment.copy(codes, ValueLayout.JAVA_BYTE, start, row, 0, count);
        scale(row, absmax[i], x, count);
        RowWriter.write(out, start, x, count);
      }
    }
  }

  private static void scale(byte[] codes, float absmax, float[] x, int count) {
    for (int i = 0; i < count; i++) {
      x[i] = codes[i] * absmax * STEP;
    }
  }
}
