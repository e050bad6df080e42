package org.ftcluster.worker.tensor.kernel;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Random;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;
import jdk.incubator.vector.FloatVector;
import org.junit.jupiter.api.Test;

class VectorMathTest {
  private static float[] exp(float[] x) {
    float[] result = new float[x.length];
    for (int i = 0; i < x.length; i++) {
      result[i] = VectorMath.exp(x[i]);
    }
    return result;
  }

  @Test
  void exponentialsAreRightToTwoUlpAllOverTheRange() {
    float[] x = new float[200_000];
    Random random = new Random(3);
    for (int i = 0; i < x.length; i++) {
      x[i] = (float) (-87.3 + 176 * random.nextDouble());
    }
    float[] result = exp(x);
    for (int i = 0; i < x.length; i++) {
      float exact = (float) Math.exp(x[i]);
      assertTrue(Math.abs(result[i] - exact) <= 2 * Math.ulp(exact), "exp(" + x[i] + ")");
    }
  }

  @Test
  void powersOfTwoAreRightAroundEachRounding() {
    IntStream.rangeClosed(-125, 127)
        .mapToDouble(n -> (n + 0.5) * Math.log(2))
        .flatMap(x -> DoubleStream.of(Math.nextDown((float) x), (float) x, Math.nextUp((float) x)))
        .forEach(
            x -> {
              float exact = (float) Math.exp((float) x);
              assertEquals(exact, VectorMath.exp((float) x), 2 * Math.ulp(exact), "exp(" + x + ")");
            });
  }

  @Test
  void whatNoFloatHoldsIsZeroOrTheLargest() {
    assertEquals(0, VectorMath.exp(-87.4f));
    assertEquals(0, VectorMath.exp(Float.NEGATIVE_INFINITY));
    assertEquals(VectorMath.exp(88.7f), VectorMath.exp(1000));
    assertEquals(VectorMath.exp(88.7f), VectorMath.exp(Float.POSITIVE_INFINITY));
    assertTrue(Float.isFinite(VectorMath.exp(88.7f)));
    assertTrue(Float.isNaN(VectorMath.exp(Float.NaN)), "a loss that is no number stays none");
    assertEquals(1, VectorMath.exp(0));
  }

  @Test
  void hyperbolicTangentsAreRightToThreeUlpAllOverTheRange() {
    Random random = new Random(4);
    float[] x = new float[Rows.FLOATS.length()];
    for (int n = 0; n < 20_000; n++) {
      float range = n % 3 == 0 ? 0.01f : n % 3 == 1 ? 1.3f : 100;
      for (int i = 0; i < x.length; i++) {
        x[i] = range * (2 * random.nextFloat() - 1);
      }
      float[] lanes = VectorMath.tanh(FloatVector.fromArray(Rows.FLOATS, x, 0)).toArray();
      for (int i = 0; i < x.length; i++) {
        float exact = (float) Math.tanh(x[i]);
        assertTrue(
            Math.abs(lanes[i] - exact) <= 3 * Math.ulp(exact), "tanh(" + x[i] + ") " + lanes[i]);
      }
    }
  }

  @Test
  void aLaneIsWhatTheNumberAloneIs() {
    float[] x = new float[Rows.FLOATS.length()];
    for (int i = 0; i < x.length; i++) {
      x[i] = i * 0.37f - 2;
    }
    float[] lanes = VectorMath.exp(FloatVector.fromArray(Rows.FLOATS, x, 0)).toArray();
    for (int i = 0; i < x.length; i++) {
      assertEquals(VectorMath.exp(x[i]), lanes[i]);
    }
  }
}
