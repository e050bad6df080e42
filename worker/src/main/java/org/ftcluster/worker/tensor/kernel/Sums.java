package org.ftcluster.worker.tensor.kernel;

import static java.nio.ByteOrder.nativeOrder;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorMask;
import org.ftcluster.worker.tensor.Brgemm.Matrix;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Tensor;

/**
 * A block of float32 sums on its way into a matrix of bfloat16 or float32, rounded once.
 *
 * @param scale that sums are multiplied by
 * @param add whether they are added to what is there, or overwrite it
 */
record Sums(Tensor out, float scale, boolean add) {
  private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;
  private static final int LANES = Rows.FLOATS.length();

  /**
   * @param out with dense rows, or float32 with dense columns
   * @param add only to bfloat16
   */
  Sums {
    boolean rounds = out.dtype() == DType.BFLOAT16 && out.stride(1) == 1;
    boolean keeps = out.dtype() == DType.FLOAT32 && !add;
    if (!rounds && !keeps) {
      throw new IllegalArgumentException("sums for " + out);
    }
  }

  /**
   * Writes {@code rows} rows from {@code row} on, and {@code columns} columns from {@code column}
   * on.
   *
   * @param sums the first row's are its first; in rows that have room for whole registers
   */
  void write(Matrix sums, int row, int rows, int column, int columns) {
    MemorySegment memory = out.memory();
    for (int i = 0; i < rows; i++) {
      long from = (sums.from() + i * sums.stride()) * Float.BYTES;
      long to = ((row + i) * out.stride(0) + column * out.stride(1)) * out.dtype().bytes();
      if (out.dtype() == DType.FLOAT32) {
        keep(sums.memory(), from, memory, to, out.stride(1) * Float.BYTES, scale, columns);
      } else if (add) {
        addRounded(sums.memory(), from, memory, to, scale, columns);
      } else {
        round(sums.memory(), from, memory, to, scale, columns);
      }
    }
  }

  /** Places are counted in bytes, here and below. */
  private static void addRounded(
      MemorySegment sums, long from, MemorySegment out, long to, float scale, int count) {
    int i = 0;
    for (int end = Rows.FLOATS.loopBound(count); i < end; i += LANES) {
      long at = to + (long) i * Short.BYTES;
      ShortVector before = ShortVector.fromMemorySegment(Rows.SHORTS, out, at, nativeOrder());
      FloatVector sum =
          FloatVector.fromMemorySegment(
              Rows.FLOATS, sums, from + (long) i * Float.BYTES, nativeOrder());
      VectorMath.toBfloat16(sum.mul(scale).add(VectorMath.fromBfloat16(before)))
          .intoMemorySegment(out, at, nativeOrder());
    }
    if (i < count) {
      VectorMask<Short> rest = Rows.SHORTS.indexInRange(i, count);
      long at = to + (long) i * Short.BYTES;
      ShortVector before = ShortVector.fromMemorySegment(Rows.SHORTS, out, at, nativeOrder(), rest);
      FloatVector sum =
          FloatVector.fromMemorySegment(
              Rows.FLOATS, sums, from + (long) i * Float.BYTES, nativeOrder());
      VectorMath.toBfloat16(sum.mul(scale).add(VectorMath.fromBfloat16(before)))
          .intoMemorySegment(out, at, nativeOrder(), rest);
    }
  }

  private static void round(
      MemorySegment sums, long from, MemorySegment out, long to, float scale, int count) {
    int i = 0;
    for (int end = Rows.FLOATS.loopBound(count); i < end; i += LANES) {
      FloatVector sum =
          FloatVector.fromMemorySegment(
              Rows.FLOATS, sums, from + (long) i * Float.BYTES, nativeOrder());
      VectorMath.toBfloat16(sum.mul(scale))
          .intoMemorySegment(out, to + (long) i * Short.BYTES, nativeOrder());
    }
    if (i < count) {
      VectorMath.toBfloat16(
              FloatVector.fromMemorySegment(
                      Rows.FLOATS, sums, from + (long) i * Float.BYTES, nativeOrder())
                  .mul(scale))
          .intoMemorySegment(
              out, to + (long) i * Short.BYTES, nativeOrder(), Rows.SHORTS.indexInRange(i, count));
    }
  }

  private static void keep(
      MemorySegment sums,
      long from,
      MemorySegment out,
      long to,
      long stride,
      float scale,
      int count) {
    for (int i = 0; i < count; i++) {
      out.set(FLOAT, to + i * stride, scale * sums.get(FLOAT, from + (long) i * Float.BYTES));
    }
  }
}
