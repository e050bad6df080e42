package org.ftcluster.worker.optimizer;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;

/** Native memory with given numbers in it. */
final class Floats {
  private Floats() {}

  static MemorySegment floats(float... values) {
    return Arena.ofAuto().allocateFrom(ValueLayout.JAVA_FLOAT, values);
  }

  static MemorySegment zeros(int size) {
    return Arena.ofAuto().allocate(ValueLayout.JAVA_FLOAT, size);
  }

  /** Of magnitudes from 1e-6 to 100; zeros before one of them. */
  static MemorySegment random(int size, int seed, int from) {
    Random random = new Random(seed);
    MemorySegment values = zeros(size);
    for (int i = 0; i < size; i++) {
      float value = (float) (random.nextGaussian() * Math.pow(10, i % 9 - 6));
      values.setAtIndex(ValueLayout.JAVA_FLOAT, i, i < from ? 0 : value);
    }
    return values;
  }
}
