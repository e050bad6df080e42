package org.ftcluster.worker.quantization;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.nio.ByteOrder.nativeOrder;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.LongVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Parallel;
import org.ftcluster.worker.tensor.Tensor;
import org.ftcluster.worker.tensor.kernel.RowReader;

/** From floating point to NF4 codes and back, block by block. */
final class Nf4Codec {
  private static final int BLOCK = Nf4Weight.BLOCK;
  private static final int CODES = 16;

  /** Where codes meet. */
  private static final float[] BOUNDS = CodeBooks.bounds(CodeBooks.NF4);

  /** The same, and one that isn't looked at. */
  private static final float[] BOUNDS_TABLE = Arrays.copyOf(BOUNDS, CODES);

  private static final VectorSpecies<Float> FLOATS = FloatVector.SPECIES_PREFERRED;
  private static final VectorSpecies<Short> SHORTS = ShortVector.SPECIES_PREFERRED;
  private static final VectorSpecies<Integer> INTS = IntVector.SPECIES_PREFERRED;

  /** A byte for each int lane, that is for each pair of short lanes. */
  private static final VectorSpecies<Byte> BYTES =
      VectorSpecies.of(
          byte.class, VectorShape.forBitSize(Math.max(64, SHORTS.vectorBitSize() / 4)));

  /**
   * A register holds a block's table of 16 products, and a byte register no more than the bytes of
   * its pairs.
   */
  private static final boolean TABLE_FITS =
      SHORTS.length() >= CODES && BYTES.length() == INTS.length();

  /** A byte for each pair of int lanes. */
  private static final VectorSpecies<Byte> PAIRS = ByteVector.SPECIES_64;

  /** A register holds all bounds. */
  private static final boolean BOUNDS_FIT = FLOATS.length() == CODES;

  /** From so many elements on what looks bounds up is worth the time that it takes to compile. */
  private static final long LARGE = 1 << 20;

  private Nf4Codec() {}

  /**
   * @param packed gets two codes a byte
   * @param absmax gets the largest magnitude of each block
   */
  static void quantize(Tensor matrix, MemorySegment packed, float[] absmax) {
    long elements = matrix.elements();
    boolean byTable = BOUNDS_FIT && elements >= LARGE;
    Parallel.rows(
        Parallel.Cost.through("NF4 quantization", matrix),
        absmax.length,
        1024,
        (from, to) -> {
          float[] x = new float[BLOCK];
          int[] codes = new int[BLOCK];
          for (int block = from; block < to; block++) {
            long start = (long) block * BLOCK;
            int count = (int) Math.min(BLOCK, elements - start);
            RowReader.read(matrix, start, x, count);
            Arrays.fill(x, count, BLOCK, 0);
            absmax[block] = largest(x);
            float inverse = 1 / Math.max(absmax[block], 1e-38f);
            if (byTable && count == BLOCK) {
              lookUp(x, inverse, packed, start);
            } else {
              compareAll(x, inverse, codes);
              pack(codes, count, packed, start);
            }
          }
        });
  }

  private static float largest(float[] x) {
    FloatVector largest = FloatVector.zero(FLOATS);
    for (int i = 0; i < BLOCK; i += FLOATS.length()) {
      largest = largest.max(FloatVector.fromArray(FLOATS, x, i).abs());
    }
    return largest.reduceLanes(VectorOperators.MAX);
  }

  /** A value's code is the number of bounds below it: all of them are compared. */
  private static void compareAll(float[] x, float inverse, int[] codes) {
    for (int i = 0; i < BLOCK; i += FLOATS.length()) {
      FloatVector scaled = FloatVector.fromArray(FLOATS, x, i).mul(inverse);
      IntVector below = IntVector.zero(INTS);
      for (float bound : BOUNDS) {
        below = below.add(1, scaled.compare(VectorOperators.GT, bound).cast(INTS));
      }
      below.intoArray(codes, i);
    }
  }

  private static void pack(int[] codes, int count, MemorySegment packed, long start) {
    for (int i = 0; i < count; i += 2) {
      int low = i + 1 < count ? codes[i + 1] : 0;
      packed.set(JAVA_BYTE, (start + i) / 2, (byte) (codes[i] << 4 | low));
    }
  }

  /** The same codes, from four looks at a register of bounds, packed. */
  private static void lookUp(float[] x, float inverse, MemorySegment packed, long start) {
    IntVector bounds = FloatVector.fromArray(FLOATS, BOUNDS_TABLE, 0).reinterpretAsInts();
    for (int i = 0; i < BLOCK; i += FLOATS.length()) {
      FloatVector scaled = FloatVector.fromArray(FLOATS, x, i).mul(inverse);
      IntVector below = IntVector.zero(INTS);
      for (int half = CODES / 2; half > 0; half /= 2) {
        FloatVector bound = below.add(half - 1).selectFrom(bounds).reinterpretAsFloats();
        below = below.add(half, scaled.compare(VectorOperators.GT, bound).cast(INTS));
      }
      // Two codes in a long, the even one in its low half.
      LongVector pairs = below.reinterpretAsLongs();
      pairs
          .lanewise(VectorOperators.LSHL, 4)
          .or(pairs.lanewise(VectorOperators.LSHR, Integer.SIZE))
          .convertShape(VectorOperators.L2B, PAIRS, 0)
          .reinterpretAsBytes()
          .intoMemorySegment(packed, (start + i) / 2, nativeOrder());
    }
  }

  /** Expands blocks [from, to) to where they belong in {@code out}. */
  static void expand(
      MemorySegment packed,
      Absmax absmax,
      MemorySegment out,
      DType type,
      long elements,
      int from,
      int to) {
    float[] products = new float[CODES];
    short[] table = new short[Math.max(SHORTS.length(), CODES)];
    for (int block = from; block < to; block++) {
      float scale = absmax.get(block);
      for (int code = 0; code < CODES; code++) {
        products[code] = CodeBooks.NF4[code] * scale;
      }
      long start = (long) block * BLOCK;
      int count = (int) Math.min(BLOCK, elements - start);
      switch (type) {
        case BFLOAT16 -> {
          for (int code = 0; code < CODES; code++) {
            table[code] = toBfloat16(products[code]);
          }
          if (TABLE_FITS && count == BLOCK) {
            expandBlock(packed, table, out, start);
          } else {
            for (int i = 0; i < count; i++) {
              out.set(
                  ValueLayout.JAVA_SHORT_UNALIGNED,
                  (start + i) * Short.BYTES,
                  table[code(packed, start + i)]);
            }
          }
        }
        case FLOAT32 -> {
          for (int i = 0; i < count; i++) {
            out.set(
                ValueLayout.JAVA_FLOAT_UNALIGNED,
                (start + i) * Float.BYTES,
                products[code(packed, start + i)]);
          }
        }
        case UINT8, INT8, INT32, INT64, FLOAT16 ->
            throw new IllegalArgumentException("NF4 doesn't expand to " + type);
      }
    }
  }

  /**
   * Each byte becomes an int whose halves are its two codes in order; the halves then look the
   * products up.
   */
  private static void expandBlock(
      MemorySegment packed, short[] table, MemorySegment out, long start) {
    ShortVector products = ShortVector.fromArray(SHORTS, table, 0);
    for (int i = 0; i < BLOCK; i += SHORTS.length()) {
      IntVector bytes =
          (IntVector)
              ByteVector.fromMemorySegment(BYTES, packed, (start + i) / 2, nativeOrder())
                  .convertShape(VectorOperators.ZERO_EXTEND_B2I, INTS, 0);
      ShortVector codes =
          bytes
              .lanewise(VectorOperators.LSHR, 4)
              .or(bytes.and(0xF).lanewise(VectorOperators.LSHL, 16))
              .reinterpretAsShorts();
      codes.selectFrom(products).intoMemorySegment(out, (start + i) * Short.BYTES, nativeOrder());
    }
  }

  private static int code(MemorySegment packed, long element) {
    int pair = packed.get(JAVA_BYTE, element / 2);
    return element % 2 == 0 ? pair >> 4 & 0xF : pair & 0xF;
  }

  private static short toBfloat16(float value) {
    int bits = Float.floatToRawIntBits(value);
    return (short) ((bits + 0x7FFF + ((bits >>> 16) & 1)) >>> 16);
  }
}
