package org.ftcluster.worker.optimizer;

import static java.nio.ByteOrder.nativeOrder;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import jdk.incubator.vector.DoubleVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.LongVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;

/**
 * Numbers as multiples of 2^-{@value #FRACTION_BITS} in 64-bit integers, whose sums depend on no
 * order.
 *
 * <p>The resolution, 5.7e-14, is what a gradient can lose: far below 1e-8, the epsilon that AdamW
 * adds to a gradient's magnitude, so a smaller gradient moves no parameter. The range is ±2^19,
 * shared by all terms of a sum.
 *
 * <p>Conversions between doubles and 64-bit integers are put together from additions of constants
 * that push the digits wanted to the end of the mantissa, since not every processor has an
 * instruction for them. They are exact where the scalar ones are.
 */
final class FixedPoint {
  static final int FRACTION_BITS = 44;

  private static final double SCALE = 0x1p44;
  private static final double INVERSE_SCALE = 0x1p-44;

  private static final VectorSpecies<Double> DOUBLES = DoubleVector.SPECIES_PREFERRED;
  private static final VectorSpecies<Long> LONGS = DOUBLES.withLanes(long.class);
  private static final VectorSpecies<Float> FLOATS =
      VectorSpecies.of(float.class, VectorShape.forBitSize(DOUBLES.vectorBitSize() / 2));
  private static final int LANES = DOUBLES.length();
  private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;
  private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED;

  /** Added to a double below 2^51 in magnitude, leaves it rounded in the last mantissa bits. */
  private static final double ROUNDER = 0x1.8p52;

  private static final long ROUNDER_BITS = Double.doubleToRawLongBits(ROUNDER);

  /** A scaled number is split here: high part below 2^33, low part at most 2^29. */
  private static final int SPLIT_BITS = 30;

  private static final double SPLIT = 0x1p30;
  private static final double INVERSE_SPLIT = 0x1p-30;

  private FixedPoint() {}

  /** The largest magnitude of a term, when {@code terms} of them must add up without overflow. */
  static double limit(int terms) {
    return 0x1p62 * INVERSE_SCALE / terms;
  }

  /** Rounds to nearest; within {@link #limit}. */
  static long of(double value) {
    return (long) Math.rint(value * SCALE);
  }

  static double toDouble(long fixed) {
    return fixed * INVERSE_SCALE;
  }

  /**
   * {@code sums[i] += of(values[i])}.
   *
   * @param sums int64
   * @param values float32
   * @return false when a value is NaN or beyond {@code limit}: the sums are then of no use
   */
  static boolean add(MemorySegment sums, MemorySegment values, double limit) {
    long count = values.byteSize() / Float.BYTES;
    long i = 0;
    VectorMask<Double> usable = DOUBLES.maskAll(true);
    for (long end = count - LANES; i <= end; i += LANES) {
      FloatVector narrow =
          FloatVector.fromMemorySegment(FLOATS, values, i * Float.BYTES, nativeOrder());
      DoubleVector value = (DoubleVector) narrow.convertShape(VectorOperators.F2D, DOUBLES, 0);
      usable = usable.and(value.abs().compare(VectorOperators.LE, limit));
      LongVector sum = LongVector.fromMemorySegment(LONGS, sums, i * Long.BYTES, nativeOrder());
      sum.add(toLongs(value.mul(SCALE))).intoMemorySegment(sums, i * Long.BYTES, nativeOrder());
    }
    boolean allUsable = usable.allTrue();
    for (; i < count; i++) {
      double value = values.get(FLOAT, i * Float.BYTES);
      allUsable &= Math.abs(value) <= limit;
      sums.set(LONG, i * Long.BYTES, sums.get(LONG, i * Long.BYTES) + of(value));
    }
    return allUsable;
  }

  /** {@code values[i] = (float) toDouble(sums[i])}, for sums below 2^63 in magnitude. */
  static void toFloats(MemorySegment sums, MemorySegment values) {
    long count = values.byteSize() / Float.BYTES;
    long i = 0;
    for (long end = count - LANES; i <= end; i += LANES) {
      LongVector sum = LongVector.fromMemorySegment(LONGS, sums, i * Long.BYTES, nativeOrder());
      FloatVector narrow =
          (FloatVector)
              toDoubles(sum).mul(INVERSE_SCALE).convertShape(VectorOperators.D2F, FLOATS, 0);
      narrow.intoMemorySegment(values, i * Float.BYTES, nativeOrder());
    }
    for (; i < count; i++) {
      values.set(FLOAT, i * Float.BYTES, (float) toDouble(sums.get(LONG, i * Long.BYTES)));
    }
  }

  /** Rounds to nearest even, for magnitudes up to 2^62. */
  private static LongVector toLongs(DoubleVector scaled) {
    DoubleVector highRounded = scaled.mul(INVERSE_SPLIT).add(ROUNDER);
    DoubleVector low = scaled.sub(highRounded.sub(ROUNDER).mul(SPLIT));
    LongVector high = highRounded.viewAsIntegralLanes().sub(ROUNDER_BITS);
    return high.lanewise(VectorOperators.LSHL, SPLIT_BITS)
        .add(low.add(ROUNDER).viewAsIntegralLanes().sub(ROUNDER_BITS));
  }

  /** Rounds to nearest even, as a cast does. */
  private static DoubleVector toDoubles(LongVector longs) {
    LongVector highBits = longs.lanewise(VectorOperators.ASHR, SPLIT_BITS);
    LongVector lowBits = longs.sub(highBits.lanewise(VectorOperators.LSHL, SPLIT_BITS));
    DoubleVector high = highBits.add(ROUNDER_BITS).viewAsFloatingLanes().reinterpretAsDoubles();
    DoubleVector low = lowBits.add(ROUNDER_BITS).viewAsFloatingLanes().reinterpretAsDoubles();
    return high.sub(ROUNDER).mul(SPLIT).add(low.sub(ROUNDER));
  }
}
