package org.ftcluster.worker.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.worker.tensor.Parallel;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class CausalLanguageModelTest {
  private static final Path LLAMA = Path.of("src/test/resources/golden/llama3");
  private static final int[] LENGTHS = {19, 3, 30, 12};

  private static CausalLanguageModel model(
      JobSpec.ComputeType type,
      JobSpec.QuantizationType quantization,
      double dropout,
      MemorySavings savings) {
    var adapter =
        new JobSpec.Adapter(
            JobSpec.AdapterType.LORA, 4, 8, dropout, List.of("all-linear"), false, null);
    var model = new JobSpec.Model(LLAMA, type, new JobSpec.Quantization(quantization, true));
    CausalLanguageModel loaded = ModelLoader.load(model, adapter, savings, 1);
    Random random = new Random(2);
    for (long i = 0; i < loaded.parameters().size(); i++) {
      float value = (float) random.nextGaussian() * 0.05f;
      loaded.parameters().values().setAtIndex(ValueLayout.JAVA_FLOAT, i, value);
    }
    loaded.parametersChanged();
    return loaded;
  }

  private static CausalLanguageModel float32(double dropout, MemorySavings savings) {
    return model(JobSpec.ComputeType.FLOAT32, JobSpec.QuantizationType.NONE, dropout, savings);
  }

  /** Random tokens, the first third of each sequence a prompt. */
  private static TokenBatch batch(int... lengths) {
    Random random = new Random(8);
    int total = Arrays.stream(lengths).sum();
    int[] tokens = random.ints(total, 0, 320).toArray();
    int[] targets = new int[total];
    int start = 0;
    for (int length : lengths) {
      for (int i = 0; i < length; i++) {
        boolean trains = i >= length / 3 && i < length - 1;
        targets[start + i] = trains ? tokens[start + i + 1] : TokenBatch.NO_TARGET;
      }
      start += length;
    }
    return new TokenBatch(tokens, targets, lengths);
  }

  private static float[] gradients(CausalLanguageModel model, TokenBatch batch, long seed) {
    model.forwardBackward(batch, 0.01, seed);
    return model.parameters().gradients().toArray(ValueLayout.JAVA_FLOAT);
  }

  @Test
  void gradientsAreCompleteFromTheLastLayerOnBeforeTheBackwardIsDone() {
    try (CausalLanguageModel model = float32(0, MemorySavings.NONE)) {
      MemorySegment gradients = model.parameters().gradients();
      List<Long> starts = new ArrayList<>();
      List<float[]> complete = new ArrayList<>();
      model.forwardBackward(
          batch(LENGTHS),
          0.01,
          0,
          from -> {
            starts.add(from);
            complete.add(gradients.asSlice(from * Float.BYTES).toArray(ValueLayout.JAVA_FLOAT));
          });
      float[] all = gradients.toArray(ValueLayout.JAVA_FLOAT);
      assertEquals(model.config().layers(), starts.size());
      for (int i = 0; i < starts.size(); i++) {
        assertArrayEquals(
            Arrays.copyOfRange(all, Math.toIntExact(starts.get(i)), all.length),
            complete.get(i),
            0f);
        assertTrue(i == 0 || starts.get(i) < starts.get(i - 1), starts.toString());
      }
      assertEquals(0, starts.getLast());
    }
  }

  @Test
  void packedSequencesGiveWhatTheyGiveAlone() {
    try (CausalLanguageModel model = float32(0, MemorySavings.NONE)) {
      TokenBatch packed = batch(LENGTHS);
      float[] together = gradients(model, packed, 0);
      double loss = model.lossSum(packed);

      double sum = 0;
      float[] apart = new float[together.length];
      int start = 0;
      for (int length : LENGTHS) {
        int from = start;
        TokenBatch one =
            new TokenBatch(
                java.util.Arrays.copyOfRange(packed.tokens(), from, from + length),
                java.util.Arrays.copyOfRange(packed.targets(), from, from + length),
                new int[] {length});
        sum += model.lossSum(one);
        float[] gradient = gradients(model, one, 0);
        for (int i = 0; i < apart.length; i++) {
          apart[i] += gradient[i];
        }
        start += length;
      }
      assertEquals(sum, loss, 1e-4 * sum);
      assertArrayEquals(apart, together, 2e-5f);
    }
  }

  @Test
  void recomputationChangesNoBitAndTakesLessMemory() {
    TokenBatch batch = batch(LENGTHS);
    try (CausalLanguageModel kept = float32(0.1, MemorySavings.NONE);
        CausalLanguageModel one = float32(0.1, MemorySavings.NONE.recomputing(1));
        CausalLanguageModel recomputed = float32(0.1, MemorySavings.RECOMPUTED)) {
      float[] expected = gradients(kept, batch, 3);
      assertArrayEquals(expected, gradients(one, batch, 3));
      assertArrayEquals(expected, gradients(recomputed, batch, 3));
      assertTrue(recomputed.peakActivationBytes() < 0.7 * kept.peakActivationBytes());
      assertTrue(one.peakActivationBytes() < kept.peakActivationBytes());
      assertTrue(one.peakActivationBytes() > recomputed.peakActivationBytes());
    }
  }

  @ParameterizedTest
  @CsvSource({"BFLOAT16, NF4, 0", "BFLOAT16, NONE, 1", "BFLOAT16, INT8, 2", "FLOAT32, NF4, 9"})
  void weightsOnADiskChangeNoBitAndTakeLessMemory(
      JobSpec.ComputeType type, JobSpec.QuantizationType quantization, int recomputed) {
    TokenBatch batch = batch(LENGTHS);
    var savings =
        MemorySavings.NONE.recomputing(recomputed).withParameters(Tier.disk(Path.of("target")));
    try (CausalLanguageModel kept = model(type, quantization, 0.1, MemorySavings.NONE);
        CausalLanguageModel offloaded = model(type, quantization, 0.1, savings)) {
      for (int step = 0; step < 3; step++) {
        assertArrayEquals(gradients(kept, batch, step), gradients(offloaded, batch, step));
        assertEquals(kept.lossSum(batch), offloaded.lossSum(batch));
      }
      assertTrue(offloaded.frozenBytes() < kept.frozenBytes());
    }
  }

  @Test
  void theSameStepGivesTheSameBitsColdAndWarm() {
    TokenBatch batch = batch(LENGTHS);
    try (CausalLanguageModel model =
        model(JobSpec.ComputeType.BFLOAT16, JobSpec.QuantizationType.NF4, 0, MemorySavings.NONE)) {
      float[] cold = gradients(model, batch, 0);
      for (int i = 0; i < 60; i++) {
        assertArrayEquals(cold, gradients(model, batch, 0), "pass " + i);
      }
    }
  }

  /** Which of them takes which piece is up to the moment, and changes no bit. */
  @ParameterizedTest
  @CsvSource({"FLOAT32, NONE, 2e-5", "BFLOAT16, NF4, 2e-2"})
  void severalThreadsComputeWhatOneDoes(
      JobSpec.ComputeType type, JobSpec.QuantizationType quantization, double tolerance) {
    TokenBatch batch = batch(190, 70, 300);
    try (CausalLanguageModel model = model(type, quantization, 0, MemorySavings.NONE)) {
      float[] expected = gradients(model, batch, 0);
      Parallel.setThreads(3);
      float[] first = gradients(model, batch, 0);
      float largest = 0;
      for (float value : expected) {
        largest = Math.max(largest, Math.abs(value));
      }
      assertArrayEquals(expected, first, (float) tolerance * largest);
      for (int i = 0; i < 20; i++) {
        assertArrayEquals(first, gradients(model, batch, 0), "pass " + i);
      }
    } finally {
      Parallel.setThreads(1);
    }
  }

  @Test
  void dropoutIsAFunctionOfItsSeed() {
    TokenBatch batch = batch(LENGTHS);
    try (CausalLanguageModel model = float32(0.3, MemorySavings.NONE)) {
      float[] first = gradients(model, batch, 1);

      assertArrayEquals(first, gradients(model, batch, 1));
      assertTrue(!java.util.Arrays.equals(first, gradients(model, batch, 2)));
    }
  }

  /**
   * The slope along the gradient, by differences of the loss: masks must be the same in both
   * passes.
   */
  @Test
  void dropoutGradientsMatchDifferencesOfTheLoss() {
    TokenBatch batch = batch(LENGTHS);
    try (CausalLanguageModel model = float32(0.3, MemorySavings.NONE)) {
      float[] gradient = gradients(model, batch, 5);
      double square = 0;
      for (float g : gradient) {
        square += (double) g * g;
      }
      double step = 2e-3 / Math.sqrt(square);
      double up = lossAfter(model, batch, gradient, step);
      double down = lossAfter(model, batch, gradient, -2 * step);

      assertEquals(1, 0.01 * (up - down) / (2 * step * square), 0.01);
    }
  }

  private static double lossAfter(
      CausalLanguageModel model, TokenBatch batch, float[] direction, double step) {
    for (int i = 0; i < direction.length; i++) {
      float value = model.parameters().values().getAtIndex(ValueLayout.JAVA_FLOAT, i);
      model
          .parameters()
          .values()
          .setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) (value + step * direction[i]));
    }
    model.parametersChanged();
    return model.forwardBackward(batch, 0.01, 5);
  }

  @Test
  void bfloat16IsFloat32WithinItsPrecision() {
    TokenBatch batch = batch(LENGTHS);
    try (CausalLanguageModel exact = float32(0, MemorySavings.NONE);
        CausalLanguageModel half =
            model(
                JobSpec.ComputeType.BFLOAT16,
                JobSpec.QuantizationType.NONE,
                0,
                MemorySavings.NONE)) {
      assertEquals(exact.lossSum(batch), half.lossSum(batch), 0.01 * exact.lossSum(batch));
      float[] a = gradients(exact, batch, 0);
      float[] b = gradients(half, batch, 0);
      double dot = 0;
      double squareA = 0;
      double squareB = 0;
      for (int i = 0; i < a.length; i++) {
        dot += a[i] * b[i];
        squareA += a[i] * a[i];
        squareB += b[i] * b[i];
      }
      assertTrue(dot / Math.sqrt(squareA * squareB) > 0.995);
    }
  }

  @Test
  void aBatchWithoutTargetsHasNoLossAndNoGradient() {
    try (CausalLanguageModel model = float32(0, MemorySavings.NONE)) {
      TokenBatch batch = new TokenBatch(new int[] {5}, new int[] {-100}, new int[] {1});

      assertEquals(0, model.forwardBackward(batch, 1, 0));
      assertArrayEquals(new float[(int) model.parameters().size()], gradients(model, batch, 0));
    }
  }

  @Test
  void targetModulesThatMatchNothingAreNamedWithThoseThatExist() {
    BadJobException e =
        assertThrows(
            BadJobException.class,
            () ->
                ModelLoader.load(
                    TestModels.float32(LLAMA),
                    TestModels.adapter(4, 8, List.of("query")),
                    MemorySavings.NONE,
                    1));

    assertEquals(
        "adapter.target_modules: query matches no layer of the model; there are q_proj, k_proj,"
            + " v_proj, o_proj, gate_proj, up_proj, down_proj, and all-linear for all of them",
        e.getMessage());
  }
}
