package org.ftcluster.worker.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.job.JobSpec.ComputeType;
import org.ftcluster.protocol.job.JobSpec.QuantizationType;
import org.ftcluster.worker.model.MemoryEstimate.MicroBatchShape;
import org.ftcluster.worker.model.MemoryEstimate.Training;
import org.ftcluster.worker.optimizer.AdamW;
import org.ftcluster.worker.optimizer.DeviceGradientSum;
import org.ftcluster.worker.optimizer.GradientSum;
import org.ftcluster.worker.optimizer.OptimizerState;
import org.ftcluster.worker.optimizer.ParameterUpdate;
import org.ftcluster.worker.tensor.Scratch;
import org.ftcluster.worker.tensor.cuda.SimulatedDevice;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class MemoryEstimateTest {
  private static final Path LLAMA = Path.of("src/test/resources/golden/llama3");

  @ParameterizedTest
  @CsvSource({
    "LORA, BFLOAT16, NF4, 0, 0,",
    "LORA, BFLOAT16, INT8, 0, 0,",
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
    Arrays.fill(targets, 0, 75, TokenBatch.NO_TARGET);
    MemoryEstimate estimate =
        MemoryEstimate.of(
            new Training(model, adapter, JobSpec.Reduction.EXACT, JobSpec.Device.CPU),
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

  /** The GPU is simulated, and its attention isn't libtorch's. */
  @ParameterizedTest
  @CsvSource({
    "llama3, LORA, FLOAT32, NF4, EXACT, 0, MEMORY",
    "llama3, LORA, FLOAT32, NONE, FAST, 1, MEMORY",
    "qwen2, LORA, FLOAT32, NONE, FAST, 0, MEMORY", // whose embedding is its head
    "llama3, LORA, FLOAT32, NF4, BFLOAT16, 0, HOST",
    "llama3, NONE, FLOAT32, NONE, EXACT, 9, MEMORY",
    "llama3, NONE, FLOAT32, NONE, FAST, 0, HOST"
  })
  void ofAGpuIsWhatItIsAskedFor(
      String base,
      JobSpec.AdapterType type,
      ComputeType dtype,
      QuantizationType quantization,
      JobSpec.Reduction reduction,
      int recomputedLayers,
      String optimizer) {
    var savings =
        MemorySavings.NONE
            .recomputing(recomputedLayers)
            .withOptimizer(optimizer.equals("HOST") ? Tier.HOST : Tier.MEMORY);
    Path folder = LLAMA.resolveSibling(base);
    var model = new JobSpec.Model(folder, dtype, new JobSpec.Quantization(quantization, true));
    var adapter = new JobSpec.Adapter(type, 64, 16, 0, List.of("all-linear"), false, null);
    int[] targets = new int[70];
    Arrays.fill(targets, 0, 30, TokenBatch.NO_TARGET);
    TokenBatch batch = new TokenBatch(new int[70], targets, new int[] {35, 35});
    MemoryEstimate estimate =
        MemoryEstimate.of(
            new Training(model, adapter, reduction, JobSpec.Device.CUDA),
            savings,
            new MicroBatchShape(2, batch.tokenCount(), batch.targetCount()),
            new MicroBatchShape(1, 1, 0),
            List.of(ModelPart.whole(ModelConfigReader.read(folder))),
            1,
            TrainedShare.ALL,
            true);
    SimulatedDevice device = SimulatedDevice.open();
    try (device;
        CausalLanguageModel real = ModelLoader.load(model, adapter, savings, 1, device)) {
      DeviceParameters there = real.parameters().device();
      boolean onDevice = savings.optimizesOnDevice();
      try (GradientSum sum = new DeviceGradientSum(reduction, there, 0, null, false, !onDevice);
          OptimizerState state = new OptimizerState(real.parameters().size());
          ParameterUpdate update =
              ParameterUpdate.whole(
                  new AdamW(0.9, 0.99, 1e-8, 0),
                  real.parameters(),
                  onDevice ? there : null,
                  state)) {
        real.initialize(0);
        sum.start(1);
        real.forwardBackward(batch, 1, 0);
        sum.add(real.parameters().gradients(), 1);
        update.gradientNorm();
      }
      assertEquals(real.peakActivationBytes(), estimate.activations());
      assertEquals(real.frozenBytes(), estimate.weights());
      double asked = device.mostAllocated() - Scratch.BYTES;
      assertEquals(asked, (double) estimate.weights() + estimate.trained(), 0.03 * asked);
    }
  }

  /** As libtorch's flash attention takes it: the scores of no two tokens are held. */
  @Test
  void ofAGpuGrowsWithTokensAndNotWithTheirSquare() {
    var model =
        new JobSpec.Model(
            LLAMA, ComputeType.BFLOAT16, new JobSpec.Quantization(QuantizationType.NF4, true));
    long once = activations(model, 1 << 14);
    long twice = activations(model, 1 << 15);
    assertEquals(2 * once, twice, 0.05 * twice);
  }

  private static long activations(JobSpec.Model model, int tokens) {
    var adapter =
        new JobSpec.Adapter(JobSpec.AdapterType.LORA, 8, 16, 0, List.of("all-linear"), false, null);
    return MemoryEstimate.of(
            ModelConfigReader.read(LLAMA),
            new Training(model, adapter, JobSpec.Reduction.FAST, JobSpec.Device.CUDA),
            MemorySavings.NONE,
            MicroBatchShape.full(1, tokens))
        .activations();
  }

  @ParameterizedTest
  @CsvSource({"CPU, 0", "CPU, 16", "CUDA, 0", "CUDA, 16"})
  void aModelThatFitsNoMachineIsEstimatedAllTheSame(JobSpec.Device device, int recomputedLayers) {
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
            small.scores(),
            0,
            small.rotary(),
            0,
            null,
            small.biases(),
            false,
            false);
    MemoryEstimate estimate =
        MemoryEstimate.of(
            large,
            new Training(
                new JobSpec.Model(
                    LLAMA,
                    ComputeType.BFLOAT16,
                    new JobSpec.Quantization(QuantizationType.NONE, true)),
                TestModels.noAdapter(),
                JobSpec.Reduction.FAST,
                device),
            MemorySavings.NONE.recomputing(recomputedLayers),
            MicroBatchShape.full(4, 4096));
    double parameters = 16 * (8192.0 * 8192 * 2.25 + 3 * 8192.0 * 28672) + 2 * 8192.0 * 128256;
    assertEquals(22.0 * parameters, estimate.trained(), 0.01 * 22 * parameters);
    assertTrue(estimate.activations() > 16L * 4 * 4096 * 8192 * 2);
  }
}
