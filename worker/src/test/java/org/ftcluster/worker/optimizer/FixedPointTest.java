package org.ftcluster.worker.optimizer;

import static org.ftcluster.worker.optimizer.Floats.floats;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;
import org.junit.jupiter.api.Test;

class FixedPointTest {
  @Test
  void vectorsConvertAsScalarsDo() {
    Random random = new Random(5);
    int count = 20_003;
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      // All magnitudes from far below the resolution up to the limit, ties among them.
      double magnitude =
          Math.scalb(random.nextInt(8) == 0 ? 1.5 : random.nextDouble(), i % 80 - 62);
      values[i] = (float) (random.nextBoolean() ? magnitude : -magnitude);
    }
    MemorySegment sums = Arena.ofAuto().allocate(8L * count, 8);
    assertTrue(FixedPoint.add(sums, floats(values), FixedPoint.limit(1)));
    assertTrue(FixedPoint.add(sums, floats(values), FixedPoint.limit(1)));
    long[] expected = new long[count];
    float[] back = new float[count];
    for (int i = 0; i < count; i++) {
      expected[i] = 2 * FixedPoint.of(values[i]);
      back[i] = (float) FixedPoint.toDouble(expected[i]);
    }
    assertArrayEquals(expected, sums.toArray(ValueLayout.JAVA_LONG));
    MemorySegment floats = floats(new float[count]);
    FixedPoint.toFloats(sums, floats);
    assertArrayEquals(back, floats.toArray(ValueLayout.JAVA_FLOAT), 0f);
    assertFalse(FixedPoint.add(sums, floats(values), 0x1p-10));
    assertTrue(FixedPoint.put(sums, floats(values), FixedPoint.limit(1)));
    for (int i = 0; i < count; i++) {
      assertEquals(expected[i] / 2, sums.getAtIndex(ValueLayout.JAVA_LONG, i));
    }
  }

  @Test
  void anyIntegerBecomesTheNearestFloat() {
    Random random = new Random(6);
    long[] sums = new long[10_001];
    for (int i = 0; i < sums.length; i++) {
      sums[i] = random.nextLong() >> (i % 64);
    }
    sums[0] = Long.MAX_VALUE;
    sums[1] = Long.MIN_VALUE;
    MemorySegment floats = floats(new float[sums.length]);
    FixedPoint.toFloats(Arena.ofAuto().allocateFrom(ValueLayout.JAVA_LONG, sums), floats);
    for (int i = 0; i < sums.length; i++) {
      assertEquals(
          (float) (sums[i] * 0x1p-44), floats.getAtIndex(ValueLayout.JAVA_FLOAT, i), "at " + i);
    }
  }
}
