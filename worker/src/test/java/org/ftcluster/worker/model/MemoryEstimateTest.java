package org.ftcluster.worker.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.List;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.job.JobSpec.ComputeType;
import org.ftcluster.protocol.job.JobSpec.QuantizationType;
import org.ftcluster.worker.model.MemoryEstimate.MicroBatchShape;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class MemoryEstimateTest {
  private static final Path LLAMA = Path.of("src/test/resources/golden/llama3");

  @ParameterizedTest
  @CsvSource({
    "LORA, BFLOAT16, NF4, 0, 0,",
    "LORA, BFLOAT16, NF4, 0.1, 9,",
    "LORA, BFLOAT16, NF4, 0.1, 1, target",
    "LORA, FLOAT32, NONE, 0.1, 0,",
    "LORA, FLOAT32, NONE, 0, 1,",
    "LORA, FLOAT32, NONE, 0, 0, target",
    "NONE, BFLOAT16, NONE, 0, 0,",
    "NONE, FLOAT32, NONE, 0, 9,"
  })
  void activationsAreWhatTheModelTakes(
      JobSpec.AdapterType type,
      ComputeType dtype,
      QuantizationType quantization,
      double dropout,
      int recomputedLayers,
      @Nullable Path offloadedTo) {
    var savings =
        MemorySavings.NONE.recomputing(recomputedLayers).withParameters(Tier.disk(offloadedTo));
    var model = new JobSpec.Model(LLAMA, dtype, new JobSpec.Quantization(quantization, true));
    var adapter = new JobSpec.Adapter(type, 8, 16, dropout, List.of("all-linear"), false, null);
    int[] lengths = {50, 50};
    int[] targets = new int[100];
    java.util.Arrays.fill(targets, 0, 75, TokenBatch.NO_TARGET);
    MemoryEstimate estimate =
        MemoryEstimate.of(
            model,
            adapter,
            JobSpec.Reduction.EXACT,
            savings,
            new MicroBatchShape(2, 100, 25),
            new MicroBatchShape(1, 1, 0),
            List.of(ModelPart.whole(ModelConfigReader.read(LLAMA))),
            1,
            TrainedShare.ALL,
            true);
    try (CausalLanguageModel real = ModelLoader.load(model, adapter, savings, 1)) {
      real.initialize(0);
      real.forwardBackward(new TokenBatch(new int[100], targets, lengths), 1, 0);
      assertEquals(real.peakActivationBytes(), estimate.activations());
      assertEquals(real.frozenBytes(), estimate.weights());
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 16})
  void aModelThatFitsNoMachineIsEstimatedAllTheSame(int recomputedLayers) {
    ModelConfig small = ModelConfigReader.read(LLAMA);
    ModelConfig large =
        new ModelConfig(
            ModelConfig.Architecture.LLAMA,
            8192,
            28672,
            16,
            64,
            8,
            128,
            128256,
            1e-5,
            5e5,
            small.ropeScaling(),
            0,
            false,
            false,
            false,
            false);
    MemoryEstimate estimate =
        MemoryEstimate.of(
            large,
            new JobSpec.Model(
                LLAMA, ComputeType.BFLOAT16, new JobSpec.Quantization(QuantizationType.NONE, true)),
            TestModels.noAdapter(),
            JobSpec.Reduction.FAST,
            MemorySavings.NONE.recomputing(recomputedLayers),
            MicroBatchShape.full(4, 4096));
    double parameters = 16 * (8192.0 * 8192 * 2.25 + 3 * 8192.0 * 28672) + 2 * 8192.0 * 128256;
    assertEquals(22.0 * parameters, estimate.trained(), 0.01 * 22 * parameters);
    assertTrue(estimate.activations() > 16L * 4 * 4096 * 8192 * 2);
  }
}
