package org.ftcluster.worker.optimizer;

import static org.ftcluster.worker.optimizer.Floats.floats;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.ftcluster.worker.model.ParameterBuffer;
import org.junit.jupiter.api.Test;

class AdamWTest {
  private static final AdamW ADAMW = new AdamW(0.9, 0.999, 1e-8, 0.01);

  @Test
  void theFirstStepMovesEachParameterByTheLearningRateAgainstItsGradient() {
    try (ParameterBuffer parameters = matrix(1f, -2f, 0.5f);
        OptimizerState state = new OptimizerState(3)) {
      gradient(parameters, 0.3f, -4f, 0f);
      ADAMW.update(parameters, state, 1, 0.1, 1f);
      // p (1 - lr wd) - lr sign(g), since both moments are the gradient's once corrected.
      assertArrayEquals(new float[] {0.899f, -1.898f, 0.4995f}, array(parameters.values()), 1e-6f);
      assertArrayEquals(new float[] {0.03f, -0.4f, 0f}, array(state.firstMoment()), 1e-7f);
      assertArrayEquals(new float[] {9e-5f, 0.016f, 0f}, array(state.secondMoment()), 1e-7f);
    }
  }

  @Test
  void normsAndBiasesDoNotDecay() {
    var matrix = new ParameterBuffer.Slice("weight", new long[] {1, 2}, 0);
    var vector = new ParameterBuffer.Slice("norm", new long[] {2}, 2);
    try (ParameterBuffer parameters = new ParameterBuffer(List.of(matrix, vector));
        OptimizerState state = new OptimizerState(4)) {
      parameters.values().copyFrom(floats(1f, 2f, 1f, 2f));
      ADAMW.update(parameters, state, 1, 0.1, 1f);
      assertArrayEquals(new float[] {0.999f, 1.998f, 1f, 2f}, array(parameters.values()), 1e-7f);
    }
  }

  @Test
  void manyStepsFollowTheFormulaInFloat64() {
    int size = 101;
    Random random = new Random(3);
    try (ParameterBuffer parameters = matrix(gaussians(random, size));
        OptimizerState state = new OptimizerState(size)) {
      double[] p = doubles(parameters.values());
      double[] m = new double[size];
      double[] v = new double[size];
      for (int step = 1; step <= 50; step++) {
        gradient(parameters, gaussians(random, size));
        double lr = 0.01 / step;
        double scale = step % 2 == 0 ? 0.25 : 1;
        ADAMW.update(parameters, state, step, lr, (float) scale);
        double[] g = doubles(parameters.gradients());
        for (int i = 0; i < size; i++) {
          double gi = g[i] * scale;
          m[i] = 0.9 * m[i] + 0.1 * gi;
          v[i] = 0.999 * v[i] + 0.001 * gi * gi;
          double mHat = m[i] / (1 - Math.pow(0.9, step));
          double vHat = v[i] / (1 - Math.pow(0.999, step));
          p[i] = p[i] - lr * 0.01 * p[i] - lr * mHat / (Math.sqrt(vHat) + 1e-8);
        }
      }
      assertArrayEquals(p, doubles(parameters.values()), 2e-6);
    }
  }

  @Test
  void anElementsResultDoesNotDependOnWhereItStands() {
    // 67 elements fill vectors of every width, and leave a rest for the scalar loop.
    float[] ones = new float[67];
    Arrays.fill(ones, 1.2345f);
    try (ParameterBuffer parameters = matrix(ones);
        OptimizerState state = new OptimizerState(67)) {
      gradient(parameters, ones);
      for (int step = 1; step <= 5; step++) {
        ADAMW.update(parameters, state, step, 3e-3, 0.77f);
      }
      float[] result = array(parameters.values());
      for (float value : result) {
        assertEquals(Float.floatToRawIntBits(result[0]), Float.floatToRawIntBits(value));
      }
    }
  }

  @Test
  void whatItRemembersMayLieOnADisk() {
    // Several pieces, and the last one shorter.
    float[] begin = gaussians(new Random(5), 2_500_001);
    try (ParameterBuffer plain = matrix(begin);
        ParameterBuffer offloaded = matrix(begin);
        OptimizerState inMemory = new OptimizerState(begin.length);
        OptimizerState onDisk = OptimizerState.whole(begin.length, Path.of("target/scratch"))) {
      for (int step = 1; step <= 2; step++) {
        float[] gradients = gaussians(new Random(step), begin.length);
        gradient(plain, gradients);
        gradient(offloaded, gradients);
        ADAMW.update(plain, inMemory, step, 3e-3, 0.5f);
        ADAMW.update(offloaded, onDisk, step, 3e-3, 0.5f);
      }
      assertEquals(-1, plain.values().mismatch(offloaded.values()));
      assertEquals(-1, inMemory.firstMoment().mismatch(onDisk.firstMoment()));
      assertEquals(-1, inMemory.secondMoment().mismatch(onDisk.secondMoment()));
      onDisk.clear();
      assertArrayEquals(new float[begin.length], array(onDisk.secondMoment()));
    }
  }

  private static ParameterBuffer matrix(float... values) {
    var slice = new ParameterBuffer.Slice("weight", new long[] {1, values.length}, 0);
    ParameterBuffer parameters = new ParameterBuffer(List.of(slice));
    parameters.values().copyFrom(floats(values));
    return parameters;
  }

  private static void gradient(ParameterBuffer parameters, float... values) {
    parameters.gradients().copyFrom(floats(values));
  }

  private static float[] gaussians(Random random, int size) {
    float[] values = new float[size];
    for (int i = 0; i < size; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return values;
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
