package org.ftcluster.worker.optimizer;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;

/**
 * Numbers as multiples of 2^-{@value #FRACTION_BITS} in 64-bit integers, whose sums depend on no
 * order.
 *
 * <p>The resolution, 5.7e-14, is what a gradient can lose: far below 1e-8, the epsilon that AdamW
 * adds to a gradient's magnitude, so a smaller gradient moves no parameter. The range is ±2^19,
 * shared by all terms of a sum.
 *
 * <p>Elements go over blocks on the heap, where the compiler makes vectors of a plain loop.
 */
final class FixedPoint {
  static final int FRACTION_BITS = 44;

  private static final double SCALE = 0x1p44;

  /** The smallest magnitude but zero. */
  static final double RESOLUTION = 0x1p-44;

  private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;
  private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED;
  private static final int BLOCK = 2048;

  private FixedPoint() {}

  /** The largest magnitude of a term, when {@code terms} of them must add up without overflow. */
  static double limit(int terms) {
    return 0x1p62 * RESOLUTION / terms;
  }

  /** Rounds to nearest; within {@link #limit}. */
  static long of(double value) {
    return (long) Math.rint(value * SCALE);
  }

  static double toDouble(long fixed) {
    return fixed * RESOLUTION;
  }

  /**
   * {@code sums[i] += of(values[i])}.
   *
   * @param sums int64
   * @param values float32
   * @return false when a value is NaN or beyond {@code limit}: the sums are then of no use
   */
  static boolean add(MemorySegment sums, MemorySegment values, double limit) {
    return add(sums, values, limit, true);
  }

  /**
   * {@code sums[i] = of(values[i])}, otherwise as {@link #add(MemorySegment, MemorySegment,
   * double)}.
   */
  static boolean put(MemorySegment sums, MemorySegment values, double limit) {
    return add(sums, values, limit, false);
  }

  /**
   * @param on whether to what is there
   */
  private static boolean add(MemorySegment sums, MemorySegment values, double limit, boolean on) {
    float[] terms = new float[BLOCK];
    long[] block = new long[BLOCK];
    long size = values.byteSize() / Float.BYTES;
    boolean usable = true;
    for (long first = 0; first < size; first += BLOCK) {
      int count = (int) Math.min(BLOCK, size - first);
      MemorySegment.copy(values, FLOAT, first * Float.BYTES, terms, 0, count);
      if (on) {
        MemorySegment.copy(sums, LONG, first * Long.BYTES, block, 0, count);
      } else {
        Arrays.fill(block, 0, count, 0);
      }
      usable &= add(block, terms, count, limit);
      MemorySegment.copy(block, 0, sums, LONG, first * Long.BYTES, count);
    }
    return usable;
  }

  private static boolean add(long[] sums, float[] terms, int count, double limit) {
    for (int i = 0; i < count; i++) {
      sums[i] += of(terms[i]);
    }
    float largest = 0;
    for (int i = 0; i < count; i++) {
      largest = Math.max(largest, Math.abs(terms[i])); // NaN stays
    }
    return largest <= limit;
  }

  /** {@code values[i] = (float) toDouble(sums[i])}, for sums below 2^63 in magnitude. */
  static void toFloats(MemorySegment sums, MemorySegment values) {
    float[] floats = new float[BLOCK];
    long[] block = new long[BLOCK];
    long size = values.byteSize() / Float.BYTES;
    for (long first = 0; first < size; first += BLOCK) {
      int count = (int) Math.min(BLOCK, size - first);
      MemorySegment.copy(sums, LONG, first * Long.BYTES, block, 0, count);
      toFloats(block, floats, count);
      MemorySegment.copy(floats, 0, values, FLOAT, first * Float.BYTES, count);
    }
  }

  private static void toFloats(long[] sums, float[] values, int count) {
    for (int i = 0; i < count; i++) {
      values[i] = (float) toDouble(sums[i]);
    }
  }
}
