package org.ftcluster.worker.tensor.kernel;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
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
  private static final ValueLayout.OfInt PAIR = ValueLayout.JAVA_INT_UNALIGNED;
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
  void readBits(long row, int column, MemorySegment into, long at, int count) {
    MemorySegment.copy(
        memory, bfloat16At(row, column), into, at * Short.BYTES, (long) count * Short.BYTES);
  }

  /** The same, two to a number; {@code count} is of these. */
  void readBits(long row, int column, int[] into, int at, int count) {
    MemorySegment.copy(memory, PAIR, bfloat16At(row, column), into, at, count);
  }

  /** The dot product of a row of bfloat16 with others, lane by lane, then over the lanes. */
  float dot(long row, int column, MemorySegment others, long at, int count) {
    long from = bfloat16At(row, column) / Short.BYTES;
    FloatVector sum = FloatVector.zero(FLOATS);
    int i = 0;
    for (int end = FLOATS.loopBound(count); i < end; i += FLOATS.length()) {
      sum =
          VectorMath.loadBfloat16(memory, from + i)
              .fma(VectorMath.loadBfloat16(others, at + i), sum);
    }
    float total = VectorMath.sumLanes(sum);
    for (; i < count; i++) {
      total += bfloat16(memory, from + i) * bfloat16(others, at + i);
    }
    return total;
  }

  private long bfloat16At(long row, int column) {
    if (dtype != DType.BFLOAT16) {
      throw new IllegalStateException("rows of " + dtype + " are read as bfloat16");
    }
    return (row * stride + column) * Short.BYTES;
  }

  /** {@code factor from} as bfloat16, for float32 {@code from}. */
  void write(long row, int column, MemorySegment from, long at, int count, float factor) {
    round(from, at, memory, bfloat16At(row, column) / Short.BYTES, factor, count);
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
      VectorMath.loadBfloat16(memory, start + i).intoArray(into, i);
    }
    for (; i < count; i++) {
      into[i] = bfloat16(memory, start + i);
    }
  }

  static void write(MemorySegment memory, DType dtype, long start, float[] from, int count) {
    if (dtype == DType.FLOAT32) {
      MemorySegment.copy(from, 0, memory, FLOAT, start * Float.BYTES, count);
      return;
    }
    int i = 0;
    for (int end = FLOATS.loopBound(count); i < end; i += FLOATS.length()) {
      VectorMath.store(
          VectorMath.toBfloat16(FloatVector.fromArray(FLOATS, from, i)), memory, start + i);
    }
    for (; i < count; i++) {
      setBfloat16(memory, start + i, from[i]);
    }
  }

  /** {@code out = factor from}, bfloat16 from float32; places are counted in elements. */
  static void round(
      MemorySegment from, long at, MemorySegment out, long to, float factor, int count) {
    int i = 0;
    for (int end = FLOATS.loopBound(count); i < end; i += FLOATS.length()) {
      VectorMath.store(
          VectorMath.toBfloat16(VectorMath.load(from, at + i).mul(factor)), out, to + i);
    }
    for (; i < count; i++) {
      setBfloat16(out, to + i, factor * from.getAtIndex(FLOAT, at + i));
    }
  }

  /** The element at an index, as float32. */
  static float bfloat16(MemorySegment memory, long index) {
    return Float.intBitsToFloat(memory.get(SHORT, index * Short.BYTES) << 16);
  }

  /** Rounded as {@link VectorMath#toBfloat16} does. */
  static void setBfloat16(MemorySegment memory, long index, float value) {
    memory.set(SHORT, index * Short.BYTES, (short) (roundedBits(value) >>> 16));
  }

  /** The nearest number of bfloat16. */
  static float toBfloat16(float value) {
    return Float.intBitsToFloat(roundedBits(value) & 0xFFFF0000);
  }

  private static int roundedBits(float value) {
    int bits = Float.floatToRawIntBits(value);
    return bits + 0x7FFF + ((bits >>> 16) & 1);
  }
}
