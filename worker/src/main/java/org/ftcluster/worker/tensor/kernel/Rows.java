package org.ftcluster.worker.tensor.kernel;

import static java.nio.ByteOrder.nativeOrder;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Tensor;

/** Rows of a matrix to and from float32 scratch. */
final class Rows {
  static final VectorSpecies<Float> FLOATS = FloatVector.SPECIES_PREFERRED;
  static final VectorSpecies<Integer> INTS = IntVector.SPECIES_PREFERRED;
  static final VectorSpecies<Short> SHORTS =
      VectorSpecies.of(
          short.class, VectorShape.forBitSize(Math.max(FLOATS.vectorBitSize() / 2, 64)));
  private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED;
  private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;

  private final MemorySegment memory;
  private final DType dtype;
  private final long stride;
  private final int width;

  private Rows(MemorySegment memory, DType dtype, long stride, int width) {
    this.memory = memory;
    this.dtype = dtype;
    this.stride = stride;
    this.width = width;
  }

  /** The rows of a matrix of float32 or bfloat16 whose elements lie side by side within a row. */
  static Rows of(Tensor matrix) {
    boolean floating = matrix.dtype() == DType.FLOAT32 || matrix.dtype() == DType.BFLOAT16;
    if (matrix.rank() != 2 || matrix.stride(1) != 1 || !floating) {
      throw new IllegalArgumentException("not a matrix of dense floating-point rows: " + matrix);
    }
    return new Rows(
        matrix.memory(), matrix.dtype(), matrix.stride(0), Math.toIntExact(matrix.size(1)));
  }

  int width() {
    return width;
  }

  void read(long row, float[] into) {
    read(memory, dtype, row * stride, into, width);
  }

  void read(long row, int column, float[] into, int count) {
    read(memory, dtype, row * stride + column, into, count);
  }

  /** The bits of bfloat16 rows as they are. */
  void readBits(long row, int column, short[] into, int at, int count) {
    if (dtype != DType.BFLOAT16) {
      throw new IllegalStateException("rows of " + dtype + " are read as bfloat16");
    }
    MemorySegment.copy(memory, SHORT, (row * stride + column) * Short.BYTES, into, at, count);
  }

  void write(long row, float[] from) {
    write(memory, dtype, row * stride, from, width);
  }

  void write(long row, int column, float[] from, int count) {
    write(memory, dtype, row * stride + column, from, count);
  }

  /**
   * @param start the first element, counted from the segment's start
   */
  static void read(MemorySegment memory, DType dtype, long start, float[] into, int count) {
    if (dtype == DType.FLOAT32) {
      MemorySegment.copy(memory, FLOAT, start * Float.BYTES, into, 0, count);
      return;
    }
    int i = 0;
    for (int end = FLOATS.loopBound(count); i < end; i += FLOATS.length()) {
      ShortVector halves =
          ShortVector.fromMemorySegment(SHORTS, memory, (start + i) * Short.BYTES, nativeOrder());
      ((IntVector) halves.convertShape(VectorOperators.ZERO_EXTEND_S2I, INTS, 0))
          .lanewise(VectorOperators.LSHL, 16)
          .reinterpretAsFloats()
          .intoArray(into, i);
    }
    for (; i < count; i++) {
      into[i] = Float.intBitsToFloat(memory.get(SHORT, (start + i) * Short.BYTES) << 16);
    }
  }

  static void write(MemorySegment memory, DType dtype, long start, float[] from, int count) {
    if (dtype == DType.FLOAT32) {
      MemorySegment.copy(from, 0, memory, FLOAT, start * Float.BYTES, count);
      return;
    }
    int i = 0;
    for (int end = FLOATS.loopBound(count); i < end; i += FLOATS.length()) {
      VectorMath.toBfloat16(FloatVector.fromArray(FLOATS, from, i))
          .intoMemorySegment(memory, (start + i) * Short.BYTES, nativeOrder());
    }
    for (; i < count; i++) {
      memory.set(SHORT, (start + i) * Short.BYTES, toBfloat16(from[i]));
    }
  }

  /** As {@link VectorMath#toBfloat16}. */
  private static short toBfloat16(float value) {
    int bits = Float.floatToRawIntBits(value);
    return (short) ((bits + 0x7FFF + ((bits >>> 16) & 1)) >>> 16);
  }
}
