package org.ftcluster.worker.tensor.kernel;

import static java.nio.ByteOrder.nativeOrder;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.LongVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShuffle;
import org.ftcluster.worker.tensor.SplitMix64;

/**
 * Sums, exponentials and roundings whose bits are the same whether the loop around them is
 * interpreted or compiled. The Vector API's own {@code reduceLanes} and {@code EXP} leave order and
 * rounding to the compiler's tier, which would let the same step give different bits early and late
 * in a run.
 *
 * <p>All of it has to be inlined where it is used: vectors that are handed over between methods are
 * objects, which makes a loop ten times as slow. The compiler decides that by what it has seen
 * until then, so the JVM is told to ({@code jvm.vectors} in the root pom).
 */
final class VectorMath {
  private static final float LOG2_E = 1.44269504f;

  /** ln 2 in two parts, so that {@code x - n ln 2} is exact enough. */
  private static final float LN2_HIGH = 0.693359375f;

  private static final float LN2_LOW = -2.12194440e-4f;

  /** 1.5 * 2^23: a number added to it is rounded to the nearest whole one, its last bits. */
  private static final float ROUND = 12582912f;

  /** Outside, the result is 0 or more than a float holds; infinities stay what they are. */
  private static final float LOWEST = -87.3f;

  private static final float HIGHEST = 88.7f;

  /** √(8/π). */
  private static final float GELU_SLOPE = 1.5957691216f;

  private static final float GELU_CUBE = GELU_SLOPE * 0.044715f;

  private static final int LANES = Rows.FLOATS.length();
  private static final VectorShuffle<Float> BY_8 = shift(8);
  private static final VectorShuffle<Float> BY_4 = shift(4);
  private static final VectorShuffle<Float> BY_2 = shift(2);
  private static final VectorShuffle<Float> BY_1 = shift(1);

  private VectorMath() {}

  /** The dot product, lane by lane, then over the lanes. */
  static float dot(float[] a, int fromA, float[] b, int fromB, int count) {
    FloatVector sum = FloatVector.zero(Rows.FLOATS);
    int i = 0;
    for (int end = Rows.FLOATS.loopBound(count); i < end; i += Rows.FLOATS.length()) {
      sum =
          FloatVector.fromArray(Rows.FLOATS, a, fromA + i)
              .fma(FloatVector.fromArray(Rows.FLOATS, b, fromB + i), sum);
    }
    float total = sumLanes(sum);
    for (; i < count; i++) {
      total += a[fromA + i] * b[fromB + i];
    }
    return total;
  }

  /** The sum over the lanes: the upper half is added to the lower one until one lane is left. */
  static float sumLanes(FloatVector vector) {
    FloatVector sum = vector;
    if (LANES > 8) {
      sum = sum.add(sum.rearrange(BY_8));
    }
    if (LANES > 4) {
      sum = sum.add(sum.rearrange(BY_4));
    }
    if (LANES > 2) {
      sum = sum.add(sum.rearrange(BY_2));
    }
    return sum.add(sum.rearrange(BY_1)).lane(0);
  }

  /** The largest lane, of numbers. */
  static float maxLane(FloatVector vector) {
    FloatVector max = vector;
    if (LANES > 8) {
      max = max(max, max.rearrange(BY_8));
    }
    if (LANES > 4) {
      max = max(max, max.rearrange(BY_4));
    }
    if (LANES > 2) {
      max = max(max, max.rearrange(BY_2));
    }
    return max(max, max.rearrange(BY_1)).lane(0);
  }

  /**
   * Brings the lane {@code distance} places on to each lane; a constant, or the compiler makes no
   * instruction of it.
   */
  private static VectorShuffle<Float> shift(int distance) {
    return VectorShuffle.iota(Rows.FLOATS, distance, 1, true);
  }

  /**
   * {@code exp(x)} to about 2 ulp, 0 below -87.3 and clamped above 88.7 (the polynomial of Cephes'
   * {@code expf}).
   */
  static FloatVector exp(FloatVector x) {
    // Java's own maximum and minimum cost four times as much, for the sake of zeros' signs.
    VectorMask<Float> low = x.compare(VectorOperators.LT, LOWEST);
    FloatVector clamped =
        x.blend(LOWEST, low).blend(HIGHEST, x.compare(VectorOperators.GT, HIGHEST));
    FloatVector shifted = clamped.fma(broadcast(LOG2_E), broadcast(ROUND));
    FloatVector n = shifted.sub(ROUND);
    FloatVector r = n.fma(broadcast(-LN2_HIGH), clamped);
    r = n.fma(broadcast(-LN2_LOW), r);
    FloatVector p = broadcast(1.9875691500e-4f);
    p = p.fma(r, broadcast(1.3981999507e-3f));
    p = p.fma(r, broadcast(8.3334519073e-3f));
    p = p.fma(r, broadcast(4.1665795894e-2f));
    p = p.fma(r, broadcast(1.6666665459e-1f));
    p = p.fma(r, broadcast(5.0000001201e-1f));
    p = p.fma(r.mul(r), r.add(1f));
    // n, the last bits of the shifted number, is added to the exponent of p: at the upper end p is
    // below 1 and at the lower end above it, so none overflows.
    IntVector exponent = shifted.reinterpretAsInts().lanewise(VectorOperators.LSHL, 23);
    FloatVector result = p.reinterpretAsInts().add(exponent).reinterpretAsFloats();
    return result.blend(0f, low);
  }

  /** {@code exp(x)}, the same bits as a lane of the vector form. */
  static float exp(float x) {
    return exp(broadcast(x)).lane(0);
  }

  /** The larger of each two lanes; {@code a} where {@code b} is NaN. */
  static FloatVector max(FloatVector a, FloatVector b) {
    return a.blend(b, b.compare(VectorOperators.GT, a));
  }

  static FloatVector sigmoid(FloatVector x) {
    FloatVector one = broadcast(1f);
    return one.div(exp(x.neg()).add(one));
  }

  static float sigmoid(float x) {
    return 1 / (1 + exp(-x));
  }

  /** {@code tanh(x)} to about 2 ulp (the polynomial of Cephes' {@code tanhf} near zero). */
  static FloatVector tanh(FloatVector x) {
    FloatVector one = broadcast(1f);
    FloatVector square = x.mul(x);
    FloatVector p = broadcast(-5.70498872745e-3f);
    p = p.fma(square, broadcast(2.06390887954e-2f));
    p = p.fma(square, broadcast(-5.37397155531e-2f));
    p = p.fma(square, broadcast(1.33314422036e-1f));
    p = p.fma(square, broadcast(-3.33332819422e-1f));
    FloatVector near = p.mul(square).fma(x, x);
    // exp is clamped at 88.7, where the quotient is 0 long since.
    FloatVector far = one.sub(broadcast(2f).div(exp(x.add(x)).add(one)));
    return far.blend(near, square.compare(VectorOperators.LT, 0.625f * 0.625f));
  }

  /** How much {@code y = cap tanh(x / cap)} grows with x: 0 where y is minus infinity. */
  static FloatVector capSlope(FloatVector y, float cap) {
    FloatVector tanh = max(y, broadcast(-cap)).div(cap);
    return broadcast(1f).sub(tanh.mul(tanh));
  }

  /** {@code √(8/π) (x + 0.044715 x³)}, of which GELU's approximation takes the sigmoid. */
  static FloatVector geluArgument(FloatVector x) {
    return x.mul(x.mul(x).mul(GELU_CUBE).add(GELU_SLOPE));
  }

  static float geluArgument(float x) {
    return x * (x * x * GELU_CUBE + GELU_SLOPE);
  }

  /** The derivative of {@link #geluArgument}. */
  static FloatVector geluSlope(FloatVector x) {
    return x.mul(x).mul(3 * GELU_CUBE).add(GELU_SLOPE);
  }

  static float geluSlope(float x) {
    return x * x * (3 * GELU_CUBE) + GELU_SLOPE;
  }

  /** {@link SplitMix64#mix} of each lane. */
  static LongVector mix(LongVector values) {
    LongVector z = shiftedXor(values, 30).mul(SplitMix64.FIRST_FACTOR);
    z = shiftedXor(z, 27).mul(SplitMix64.SECOND_FACTOR);
    return shiftedXor(z, 31);
  }

  private static LongVector shiftedXor(LongVector z, int bits) {
    return z.lanewise(VectorOperators.XOR, z.lanewise(VectorOperators.LSHR, bits));
  }

  /** To nearest, ties to even, as libtorch rounds. */
  static ShortVector toBfloat16(FloatVector x) {
    return upperHalves(rounded(x));
  }

  /** Of each lane its lower half. */
  static ShortVector lowerHalves(IntVector pairs) {
    return (ShortVector) pairs.convertShape(VectorOperators.I2S, Rows.SHORTS, 0);
  }

  /** Of each lane its upper half. */
  static ShortVector upperHalves(IntVector pairs) {
    return lowerHalves(shiftedDown(pairs));
  }

  /** Lane by lane numbers of 16 bits side by side, the first one first in memory. */
  static IntVector pairs(IntVector first, IntVector second) {
    return first.or(second.lanewise(VectorOperators.LSHL, 16));
  }

  /** Numbers whose upper halves are bfloat16. */
  private static IntVector rounded(FloatVector x) {
    IntVector bits = x.reinterpretAsInts();
    return bits.add(shiftedDown(bits).and(1)).add(0x7FFF);
  }

  private static IntVector shiftedDown(IntVector bits) {
    return bits.lanewise(VectorOperators.LSHR, 16);
  }

  /** Of memory outside the heap, as what follows; places are counted in elements. */
  static FloatVector load(MemorySegment memory, long index) {
    return FloatVector.fromMemorySegment(Rows.FLOATS, memory, index * Float.BYTES, nativeOrder());
  }

  static void store(FloatVector floats, MemorySegment memory, long index) {
    floats.intoMemorySegment(memory, index * Float.BYTES, nativeOrder());
  }

  static void store(IntVector ints, MemorySegment memory, long index) {
    ints.intoMemorySegment(memory, index * Integer.BYTES, nativeOrder());
  }

  static void store(ShortVector shorts, MemorySegment memory, long index) {
    shorts.intoMemorySegment(memory, index * Short.BYTES, nativeOrder());
  }

  /** Numbers of bfloat16, each in the lower half of a lane. */
  static IntVector loadHalves(MemorySegment memory, long index) {
    ShortVector halves =
        ShortVector.fromMemorySegment(Rows.SHORTS, memory, index * Short.BYTES, nativeOrder());
    return (IntVector) halves.convertShape(VectorOperators.ZERO_EXTEND_S2I, Rows.INTS, 0);
  }

  static FloatVector loadBfloat16(MemorySegment memory, long index) {
    return loadHalves(memory, index).lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
  }

  private static FloatVector broadcast(float value) {
    return FloatVector.broadcast(Rows.FLOATS, value);
  }
}
