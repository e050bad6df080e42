package org.ftcluster.worker.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

class AdapterInitializerTest {
  private static final long IN = 400;
  private static final long R = 16;

  @Test
  void aIsUniformWithinOneOverTheRootOfItsInputsAndBIsZero() {
    float[] values = fill(42, "x", "y");
    double bound = 1 / Math.sqrt(IN);
    double sum = 0;
    double squares = 0;
    for (int i = 0; i < R * IN; i++) {
      assertTrue(Math.abs(values[i]) <= bound);
      sum += values[i];
      squares += values[i] * values[i];
    }
    assertEquals(0, sum / (R * IN), 0.05 * bound);
    assertEquals(bound * bound / 3, squares / (R * IN), 0.05 * bound * bound);
    for (int i = (int) (R * IN); i < R * IN + 8 * R; i++) {
      assertEquals(0, values[i]);
    }
  }

  @Test
  void valuesAreAFunctionOfSeedAndName() {
    int tensor = (int) (R * (IN + 8));
    float[] xy = fill(42, "x", "y");
    float[] yx = fill(42, "y", "x");
    assertArrayEquals(first(xy, tensor), second(yx, tensor));
    assertArrayEquals(second(xy, tensor), first(yx, tensor));
    assertTrue(Arrays.mismatch(first(xy, tensor), second(xy, tensor)) == 0);
    assertTrue(Arrays.mismatch(xy, fill(43, "x", "y")) == 0);
  }

  private static float[] first(float[] values, int size) {
    return Arrays.copyOf(values, size);
  }

  private static float[] second(float[] values, int size) {
    return Arrays.copyOfRange(values, size, 2 * size);
  }

  /** Values of two modules, A and B of the first, then A and B of the second. */
  private static float[] fill(long seed, String first, String second) {
    long module = R * (IN + 8);
    try (ParameterBuffer parameters =
        new ParameterBuffer(
            List.of(
                new ParameterBuffer.Slice(first + ".lora_A.weight", new long[] {R, IN}, 0),
                new ParameterBuffer.Slice(first + ".lora_B.weight", new long[] {8, R}, R * IN),
                new ParameterBuffer.Slice(second + ".lora_A.weight", new long[] {R, IN}, module),
                new ParameterBuffer.Slice(
                    second + ".lora_B.weight", new long[] {8, R}, module + R * IN)))) {
      for (long i = 0; i < parameters.size(); i++) {
        parameters.values().setAtIndex(ValueLayout.JAVA_FLOAT, i, 9f);
      }
      AdapterInitializer.fill(parameters, seed);
      return parameters.values().toArray(ValueLayout.JAVA_FLOAT);
    }
  }
}
