package org.ftcluster.worker.optimizer;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;

class AdamWTest {
  private static final AdamW ADAMW = new AdamW(0.9, 0.999, 1e-8, 0.01);

  @Test
  void theFirstStepMovesEachParameterByTheLearningRateAgainstItsGradient() {
    try (OptimizerState state = new OptimizerState(3)) {
      MemorySegment parameters = floats(1f, -2f, 0.5f);
      ADAMW.update(parameters, floats(0.3f, -4f, 0f), state, 1, 0.1, 1f);
      // p (1 - lr wd) - lr sign(g), since both moments are the gradient's once corrected.
      assertArrayEquals(new float[] {0.899f, -1.898f, 0.4995f}, array(parameters), 1e-6f);
      assertArrayEquals(new float[] {0.03f, -0.4f, 0f}, array(state.firstMoment()), 1e-7f);
      assertArrayEquals(new float[] {9e-5f, 0.016f, 0f}, array(state.secondMoment()), 1e-7f);
    }
  }

  @Test
  void manyStepsFollowTheFormulaInFloat64() {
    int size = 101;
    Random random = new Random(3);
    MemorySegment parameters = gaussians(random, size);
    double[] p = doubles(parameters);
    double[] m = new double[size];
    double[] v = new double[size];
    try (OptimizerState state = new OptimizerState(size)) {
      for (int step = 1; step <= 50; step++) {
        MemorySegment gradients = gaussians(random, size);
        double lr = 0.01 / step;
        double scale = step % 2 == 0 ? 0.25 : 1;
        ADAMW.update(parameters, gradients, state, step, lr, (float) scale);
        double[] g = doubles(gradients);
        for (int i = 0; i < size; i++) {
          double gi = g[i] * scale;
          m[i] = 0.9 * m[i] + 0.1 * gi;
          v[i] = 0.999 * v[i] + 0.001 * gi * gi;
          double mHat = m[i] / (1 - Math.pow(0.9, step));
          double vHat = v[i] / (1 - Math.pow(0.999, step));
          p[i] = p[i] - lr * 0.01 * p[i] - lr * mHat / (Math.sqrt(vHat) + 1e-8);
        }
      }
    }
    assertArrayEquals(p, doubles(parameters), 2e-6);
  }

  @Test
  void anElementsResultDoesNotDependOnWhereItStands() {
    // 67 elements fill vectors of every width, and leave a rest for the scalar loop.
    float[] ones = new float[67];
    Arrays.fill(ones, 1.2345f);
    MemorySegment parameters = floats(ones);
    try (OptimizerState state = new OptimizerState(67)) {
      for (int step = 1; step <= 5; step++) {
        ADAMW.update(parameters, floats(ones), state, step, 3e-3, 0.77f);
      }
    }
    float[] result = array(parameters);
    for (float value : result) {
      assertEquals(Float.floatToRawIntBits(result[0]), Float.floatToRawIntBits(value));
    }
  }

  private static MemorySegment gaussians(Random random, int size) {
    float[] values = new float[size];
    for (int i = 0; i < size; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return floats(values);
  }

  private static MemorySegment floats(float... values) {
    return Arena.ofAuto().allocateFrom(ValueLayout.JAVA_FLOAT, values);
  }

  private static float[] array(MemorySegment segment) {
    return segment.toArray(ValueLayout.JAVA_FLOAT);
  }

  private static double[] doubles(MemorySegment segment) {
    float[] values = array(segment);
    double[] result = new double[values.length];
    for (int i = 0; i < values.length; i++) {
      result[i] = values[i];
    }
    return result;
  }
}
