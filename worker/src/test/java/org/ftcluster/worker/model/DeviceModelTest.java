package org.ftcluster.worker.model;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.job.JobSpec.AdapterType;
import org.ftcluster.protocol.job.JobSpec.ComputeType;
import org.ftcluster.protocol.job.JobSpec.QuantizationType;
import org.ftcluster.worker.tensor.Accelerator;
import org.ftcluster.worker.tensor.cuda.SimulatedDevice;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * A whole model on a GPU gives what it gives on the CPU: loss and every gradient, step after step.
 * The GPU is simulated.
 */
class DeviceModelTest {
  private static final Path GOLDEN = Path.of("src/test/resources/golden");
  private static final int STEPS = 2;

  @ParameterizedTest
  @CsvSource({
    "llama3,  FLOAT32,  NONE, LORA, 0,   NOTHING,      1e-5",
    "llama3,  FLOAT32,  NF4,  LORA, 0.2, RECOMPUTED,   1e-5",
    "llama3,  BFLOAT16, NF4,  LORA, 0,   NOTHING,      3e-2",
    "mistral, BFLOAT16, INT8, LORA, 0,   WEIGHTS_ON_HOST, 3e-2",
    "qwen2,   FLOAT32,  NONE, NONE, 0,   NOTHING,      1e-5",
    "qwen3,   FLOAT32,  NONE, NONE, 0,   NOTHING,      1e-5",
    "qwen3,   BFLOAT16, NF4,  LORA, 0,   RECOMPUTED,   3e-2",
    "mistral, FLOAT32,  NONE, LORA, 0,   NOTHING,      1e-5",
    "llama3,  FLOAT32,  NF4,  LORA, 0,   WEIGHTS_ON_HOST, 1e-5",
    "qwen2,   FLOAT32,  NONE, LORA, 0,   WEIGHTS_ON_HOST, 1e-5",
    "phi4-mini, FLOAT32, NF4, LORA, 0.2, RECOMPUTED,   1e-5",
    "gemma2,  FLOAT32,  NONE, LORA, 0,   WEIGHTS_ON_HOST, 1e-5",
    "gemma2,  BFLOAT16, NF4,  LORA, 0,   NOTHING,      3e-2",
    "full-gemma3, FLOAT32, NONE, NONE, 0, NOTHING,     1e-5",
  })
  void lossAndGradientsAreTheCpus(
      String name,
      ComputeType type,
      QuantizationType quantization,
      AdapterType adapterType,
      double dropout,
      Saved saved,
      double tolerance) {
    var model =
        new JobSpec.Model(GOLDEN.resolve(name), type, new JobSpec.Quantization(quantization, true));
    var adapter =
        new JobSpec.Adapter(adapterType, 4, 8, dropout, List.of("all-linear"), false, null);
    Run expected = run(model, adapter, MemorySavings.NONE, null);
    Run actual = run(model, adapter, saved.savings(), SimulatedDevice.open());
    for (int step = 0; step < STEPS; step++) {
      assertEquals(expected.losses[step], actual.losses[step], tolerance * expected.losses[step]);
      assertClose(expected.gradients[step], actual.gradients[step], tolerance);
    }
    assertEquals(
        expected.evaluated, actual.evaluated, tolerance * expected.evaluated, "without dropout");
  }

  /** What the GPU does without. */
  enum Saved {
    NOTHING,
    RECOMPUTED,
    WEIGHTS_ON_HOST;

    private MemorySavings savings() {
      return switch (this) {
        case NOTHING -> MemorySavings.NONE;
        case RECOMPUTED -> MemorySavings.RECOMPUTED;
        case WEIGHTS_ON_HOST -> MemorySavings.NONE.withParameters(Tier.HOST);
      };
    }
  }

  private record Run(double[] losses, float[][] gradients, double evaluated) {}

  /** A few steps of plain descent from random parameters. */
  private static Run run(
      JobSpec.Model model,
      JobSpec.Adapter adapter,
      MemorySavings savings,
      @Nullable Accelerator accelerator) {
    TokenBatch batch = batch(40, 3, 21);
    double[] losses = new double[STEPS];
    float[][] gradients = new float[STEPS][];
    try (accelerator;
        CausalLanguageModel loaded = ModelLoader.load(model, adapter, savings, 1, accelerator)) {
      ParameterBuffer parameters = loaded.parameters();
      loaded.initialize(3);
      add(parameters, new Random(2).doubles(parameters.size(), -0.05, 0.05).toArray());
      loaded.parametersChanged();
      for (int step = 0; step < STEPS; step++) {
        losses[step] = loaded.forwardBackward(batch, 0.01, step);
        gradients[step] = parameters.gradients().toArray(ValueLayout.JAVA_FLOAT);
        double[] update = new double[gradients[step].length];
        for (int i = 0; i < update.length; i++) {
          update[i] = -0.5 * gradients[step][i];
        }
        add(parameters, update);
        loaded.parametersChanged();
      }
      return new Run(losses, gradients, loaded.lossSum(batch));
    }
  }

  private static void add(ParameterBuffer parameters, double[] update) {
    for (int i = 0; i < update.length; i++) {
      float value = parameters.values().getAtIndex(ValueLayout.JAVA_FLOAT, i);
      parameters.values().setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) (value + update[i]));
    }
  }

  private static TokenBatch batch(int... lengths) {
    Random random = new Random(8);
    int total = java.util.Arrays.stream(lengths).sum();
    int[] tokens = random.ints(total, 0, 320).toArray();
    int[] targets = random.ints(total, 0, 320).toArray();
    for (int i = 0; i < total; i += 3) {
      targets[i] = TokenBatch.NO_TARGET;
    }
    return new TokenBatch(tokens, targets, lengths);
  }

  private static void assertClose(float[] expected, float[] actual, double tolerance) {
    double largest = 0;
    for (float value : expected) {
      largest = Math.max(largest, Math.abs(value));
    }
    for (int i = 0; i < expected.length; i++) {
      assertEquals(expected[i], actual[i], tolerance * largest, "gradient " + i);
    }
  }
}
