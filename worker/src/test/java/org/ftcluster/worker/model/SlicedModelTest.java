package org.ftcluster.worker.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.job.JobSpec.AdapterType;
import org.ftcluster.protocol.job.JobSpec.ComputeType;
import org.ftcluster.protocol.job.JobSpec.Quantization;
import org.ftcluster.protocol.job.JobSpec.QuantizationType;
import org.ftcluster.worker.collective.Ranks;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The slices of a model together compute what the model computes alone. */
class SlicedModelTest {
  private static final Path GOLDEN = Path.of("src/test/resources/golden");
  private static final Duration LIMIT = Duration.ofSeconds(60);

  /** What a batch leaves: the losses' sums, with and without gradients, and the gradient. */
  private record Outcome(double loss, double evaluated, double[] gradient) {
    static Outcome of(CausalLanguageModel model) {
      // B is zero in a new adapter, which would hide A's gradient.
      Random random = new Random(7);
      model.initialize(3);
      for (ParameterBuffer.Slice slice : model.parameters().slices()) {
        if (slice.name().contains("lora")) {
          float[] values = new float[(int) slice.size()];
          for (int i = 0; i < values.length; i++) {
            values[i] = (float) random.nextGaussian() * 0.05f;
          }
          TestModels.set(model.parameters().values(), slice, values);
        }
      }
      model.parametersChanged();
      double loss = model.forwardBackward(batch(model.config().vocabularySize()), 0.1, 11);
      double evaluated = model.lossSum(batch(model.config().vocabularySize()));
      float[] gradient = model.parameters().gradients().toArray(ValueLayout.JAVA_FLOAT);
      return new Outcome(
          loss,
          evaluated,
          IntStream.range(0, gradient.length).mapToDouble(i -> gradient[i]).toArray());
    }

    double norm() {
      double sum = 0;
      for (double g : gradient) {
        sum += g * g;
      }
      return Math.sqrt(sum);
    }
  }

  @ParameterizedTest
  @CsvSource({
    "llama3, LORA, FLOAT32, NONE, 2, 0",
    "llama3, LORA, FLOAT32, NONE, 4, 0",
    "llama3, LORA, FLOAT32, NF4, 2, 0",
    "llama3, LORA, FLOAT32, INT8, 4, 0",
    "llama3, LORA, FLOAT32, NONE, 2, 0.3",
    "llama3, LORA, BFLOAT16, NF4, 2, 0",
    "qwen2, LORA, FLOAT32, NONE, 2, 0",
    "qwen2, LORA, FLOAT32, NONE, 4, 0",
    "qwen3, LORA, FLOAT32, NONE, 4, 0",
    "qwen2, LORA, FLOAT32, NF4, 4, 0.1",
    "full-llama, NONE, FLOAT32, NONE, 2, 0",
    "full-qwen2, NONE, FLOAT32, NONE, 2, 0",
    "full-qwen2, NONE, BFLOAT16, NONE, 2, 0",
    "full-qwen3, NONE, FLOAT32, NONE, 2, 0",
    "full-qwen3, NONE, FLOAT32, NONE, 4, 0",
    "phi3, LORA, FLOAT32, NONE, 2, 0",
    "phi3, LORA, FLOAT32, NF4, 4, 0.1",
    "phi4-mini, LORA, FLOAT32, INT8, 2, 0",
    "phi3, LORA, BFLOAT16, NF4, 2, 0",
    "full-phi3, NONE, FLOAT32, NONE, 4, 0",
    "gemma2, LORA, FLOAT32, NF4, 4, 0.1",
    "gemma3, LORA, FLOAT32, NONE, 2, 0",
    "gemma3, LORA, BFLOAT16, NONE, 2, 0",
    "gemma3-vision, LORA, FLOAT32, NONE, 2, 0",
    "full-gemma3, NONE, FLOAT32, NONE, 2, 0"
  })
  void slicesTogetherLearnWhatTheModelLearns(
      String folder,
      AdapterType type,
      ComputeType dtype,
      QuantizationType quantization,
      int slices,
      double dropout)
      throws Exception {
    var model =
        new JobSpec.Model(GOLDEN.resolve(folder), dtype, new Quantization(quantization, true));
    var adapter = new JobSpec.Adapter(type, 8, 16, dropout, List.of("all-linear"), false, null);
    Outcome whole;
    try (CausalLanguageModel alone = ModelLoader.load(model, adapter, MemorySavings.NONE, 1)) {
      whole = Outcome.of(alone);
    }

    ModelConfig config = ModelConfigReader.read(model.path());
    List<Outcome> parts =
        Ranks.run(
            slices,
            ranks -> {
              ModelPart part =
                  ModelPart.of(config, new Span(0, config.layers()), ranks.rank(), slices);
              try (ParameterBuffer parameters =
                      ModelLoader.newParameters(model, adapter, MemorySavings.NONE);
                  CausalLanguageModel slice =
                      ModelLoader.loadPart(
                          model,
                          adapter,
                          MemorySavings.NONE.recomputing(slices > 2 ? 1 : 0),
                          1,
                          part,
                          parameters,
                          null)) {
                slice.connect(ranks, ranks, LIMIT);
                return Outcome.of(slice);
              }
            });

    double tolerance = dtype == ComputeType.FLOAT32 ? 1e-5 : 2e-2;
    double[] sum = new double[whole.gradient.length];
    for (Outcome part : parts) {
      assertEquals(whole.loss, part.loss, tolerance * whole.loss);
      assertEquals(whole.evaluated, part.evaluated, tolerance * whole.evaluated);
      for (int i = 0; i < sum.length; i++) {
        sum[i] += part.gradient[i];
      }
    }
    Outcome all = new Outcome(0, 0, sum);
    assertEquals(whole.norm(), all.norm(), tolerance * whole.norm());
    double difference = 0;
    for (int i = 0; i < sum.length; i++) {
      difference = Math.max(difference, Math.abs(sum[i] - whole.gradient[i]));
    }
    assertTrue(difference < tolerance * whole.norm(), "differs by " + difference);
  }

  @Test
  void headsThatCantBeSharedOutAreRefusedWithANumberThatCan() {
    ModelConfig config = ModelConfigReader.read(GOLDEN.resolve("llama3"));
    for (int slices : new int[] {1, 2, 4}) {
      ModelPart.checkSlices(config, slices);
    }
    BadJobException e = assertThrows(BadJobException.class, () -> ModelPart.checkSlices(config, 3));
    assertTrue(e.getMessage().endsWith("can't be shared out among as many; 2 would work."));
  }

  private static TokenBatch batch(int vocabulary) {
    int[] lengths = {17, 40, 3};
    int[] tokens = new Random(5).ints(60, 0, vocabulary).toArray();
    int[] targets = new Random(6).ints(60, 0, vocabulary).toArray();
    for (int i = 0; i < targets.length; i += 3) {
      targets[i] = TokenBatch.NO_TARGET;
    }
    return new TokenBatch(tokens, targets, lengths);
  }
}
