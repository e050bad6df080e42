package org.ftcluster.worker.tensor.kernel;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import jdk.incubator.vector.FloatVector;
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
   */
  Sums {
    boolean rounds = out.dtype() == DType.BFLOAT16 && out.stride(1) == 1;
    if (!rounds && out.dtype() != DType.FLOAT32) {
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
      long from = sums.from() + i * sums.stride();
      long to = (row + i) * out.stride(0) + column * out.stride(1);
      if (out.dtype() == DType.FLOAT32 && add) {
        addKept(sums.memory(), from, memory, to, out.stride(1), scale, columns);
      } else if (out.dtype() == DType.FLOAT32) {
        keep(sums.memory(), from, memory, to, out.stride(1), scale, columns);
      } else if (add) {
        addRounded(sums.memory(), from, memory, to, scale, columns);
      } else {
        Rows.round(sums.memory(), from, memory, to, scale, columns);
      }
    }
  }

  private static void addRounded(
      MemorySegment sums, long from, MemorySegment out, long to, float scale, int count) {
    int i = 0;
    for (int end = Rows.FLOATS.loopBound(count); i < end; i += LANES) {
      FloatVector sum = VectorMath.load(sums, from + i).mul(scale);
      FloatVector before = VectorMath.loadBfloat16(out, to + i);
      VectorMath.store(VectorMath.toBfloat16(sum.add(before)), out, to + i);
    }
    for (; i < count; i++) {
      float before = Rows.bfloat16(out, to + i);
      Rows.setBfloat16(out, to + i, before + scale * sums.getAtIndex(FLOAT, from + i));
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
      out.setAtIndex(FLOAT, to + i * stride, scale * sums.getAtIndex(FLOAT, from + i));
    }
  }

  private static void addKept(
      MemorySegment sums,
      long from,
      MemorySegment out,
      long to,
      long stride,
      float scale,
      int count) {
    for (int i = 0; i < count; i++) {
      float before = out.getAtIndex(FLOAT, to + i * stride);
      out.setAtIndex(FLOAT, to + i * stride, before + scale * sums.getAtIndex(FLOAT, from + i));
    }
  }
}
