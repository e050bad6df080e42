package org.ftcluster.worker.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.CountDownLatch;
import java.util.stream.Stream;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.job.JobSpec.ComputeType;
import org.ftcluster.protocol.job.JobSpec.QuantizationType;
import org.ftcluster.worker.model.MemoryEstimate.MicroBatchShape;
import org.ftcluster.worker.tensor.Accelerator;
import org.ftcluster.worker.tensor.cuda.SimulatedDevice;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Activations that are elsewhere between forward and backward. */
class OffloadedActivationsTest {
  private static final Path LLAMA = Path.of("src/test/resources/golden/llama3");
  private static final Path DISK = Path.of("target/activations").toAbsolutePath();
  private static final int LAYERS = 6;

  @TempDir Path folder;

  private static ModelConfig config() {
    ModelConfig small = ModelConfigReader.read(LLAMA);
    return new ModelConfig(
        small.architecture(),
        64,
        160,
        LAYERS,
        4,
        2,
        16,
        256,
        1e-5,
        small.scores(),
        0,
        small.rotary(),
        0,
        null,
        small.biases(),
        true,
        false);
  }

  private static JobSpec.Model model(ComputeType type, QuantizationType quantization) {
    return new JobSpec.Model(LLAMA, type, new JobSpec.Quantization(quantization, true));
  }

  private static JobSpec.Adapter adapter(JobSpec.AdapterType type) {
    double dropout = type == JobSpec.AdapterType.LORA ? 0.1 : 0;
    return new JobSpec.Adapter(type, 4, 8, dropout, List.of("all-linear"), false, null);
  }

  private static CausalLanguageModel load(
      JobSpec.Model model, JobSpec.Adapter adapter, MemorySavings savings) {
    return load(model, adapter, savings, null);
  }

  private static CausalLanguageModel load(
      JobSpec.Model model,
      JobSpec.Adapter adapter,
      MemorySavings savings,
      @Nullable Accelerator accelerator) {
    CausalLanguageModel loaded =
        ModelLoader.loadRandom(config(), model, adapter, savings, 1, accelerator);
    loaded.initialize(3);
    return loaded;
  }

  private static TokenBatch batch(int seed) {
    return batch(seed, 70, 50 + 10 * seed);
  }

  private static TokenBatch batch(int seed, int... lengths) {
    SplittableRandom random = new SplittableRandom(seed);
    int tokens = Arrays.stream(lengths).sum();
    return new TokenBatch(
        random.ints(tokens, 0, 256).toArray(), random.ints(tokens, 0, 256).toArray(), lengths);
  }

  private static float[] gradients(CausalLanguageModel model, int step) {
    return gradients(model, step, batch(step));
  }

  private static float[] gradients(CausalLanguageModel model, int step, TokenBatch batch) {
    model.forwardBackward(batch, 0.01, step);
    return model.parameters().gradients().toArray(ValueLayout.JAVA_FLOAT);
  }

  @ParameterizedTest
  @CsvSource({
    "LORA, FLOAT32, NONE, 0, 6",
    "LORA, FLOAT32, NONE, 2, 3",
    "LORA, BFLOAT16, NF4, 0, 6",
    "LORA, BFLOAT16, NF4, 6, 6",
    "LORA, BFLOAT16, NONE, 0, 1",
    "NONE, FLOAT32, NONE, 0, 6",
    "NONE, BFLOAT16, NONE, 3, 6"
  })
  void changeNoBitAndTakeTheMemoryThatIsForetold(
      JobSpec.AdapterType trained,
      ComputeType type,
      QuantizationType quantization,
      int recomputed,
      int offloaded)
      throws IOException {
    JobSpec.Model model = model(type, quantization);
    JobSpec.Adapter adapter = adapter(trained);
    MemorySavings plain = MemorySavings.NONE.recomputing(recomputed);
    MemorySavings savings = plain.withActivations(Tier.disk(DISK), offloaded);
    try (CausalLanguageModel kept = load(model, adapter, plain);
        CausalLanguageModel filed = load(model, adapter, savings)) {
      for (int step = 0; step < 3; step++) {
        assertArrayEquals(gradients(kept, step), gradients(filed, step));
        assertEquals(kept.lossSum(batch(step)), filed.lossSum(batch(step)));
      }
      try (Stream<Path> files = Files.list(DISK)) {
        assertEquals(0, files.count(), "files have no names");
      }
      if (offloaded > 1) {
        assertTrue(filed.peakActivationBytes() < kept.peakActivationBytes());
      }
      MicroBatchShape largest = MicroBatchShape.full(2, 70);
      MemoryEstimate estimate =
          MemoryEstimate.of(
              config(),
              new MemoryEstimate.Training(
                  model, adapter, JobSpec.Reduction.EXACT, JobSpec.Device.CPU),
              savings,
              largest);
      assertEquals(estimate.activations(), filed.peakActivationBytes());
      assertEquals(estimate.disk().activations(), filed.filedActivationBytes());
    }
  }

  /** The GPU is simulated. */
  @ParameterizedTest
  @CsvSource({
    "LORA, BFLOAT16, NF4, 0, 6",
    "LORA, FLOAT32, NONE, 6, 6",
    "NONE, FLOAT32, NONE, 2, 3"
  })
  void ofAGpuChangeNoBitInItsHostsMemory(
      JobSpec.AdapterType trained,
      ComputeType type,
      QuantizationType quantization,
      int recomputed,
      int offloaded) {
    JobSpec.Model model = model(type, quantization);
    JobSpec.Adapter adapter = adapter(trained);
    MemorySavings plain = MemorySavings.NONE.recomputing(recomputed);
    MemorySavings savings = plain.withActivations(Tier.HOST, offloaded);
    try (Accelerator gpu = SimulatedDevice.open();
        CausalLanguageModel kept = load(model, adapter, plain, gpu);
        CausalLanguageModel onHost = load(model, adapter, savings, gpu)) {
      for (int step = 0; step < 2; step++) {
        TokenBatch batch = batch(step, 10, 12 + step);
        assertArrayEquals(gradients(kept, step, batch), gradients(onHost, step, batch));
      }
      assertTrue(onHost.peakActivationBytes() < kept.peakActivationBytes());
      assertEquals(0, onHost.filedActivationBytes());
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"gemma2", "gemma3", "phi3"})
  void changeNoBitOfOtherFamilies(String name) {
    JobSpec.Model model = TestModels.float32(LLAMA.resolveSibling(name));
    JobSpec.Adapter adapter = adapter(JobSpec.AdapterType.LORA);
    MemorySavings savings = MemorySavings.NONE.withActivations(Tier.disk(DISK), 3);
    try (CausalLanguageModel kept = ModelLoader.load(model, adapter, MemorySavings.NONE, 1);
        CausalLanguageModel filed = ModelLoader.load(model, adapter, savings, 1)) {
      kept.initialize(3);
      filed.initialize(3);
      for (int step = 0; step < 2; step++) {
        assertArrayEquals(gradients(kept, step), gradients(filed, step));
      }
      assertTrue(filed.filedActivationBytes() > 0);
    }
  }

  @Test
  void aDiskThatTakesNothingIsASentence() throws IOException {
    Path file = Files.createFile(folder.resolve("file"));
    MemorySavings savings =
        MemorySavings.NONE.withActivations(Tier.disk(file.resolve("there")), LAYERS);
    try (CausalLanguageModel filed =
        load(
            model(ComputeType.FLOAT32, QuantizationType.NONE),
            adapter(JobSpec.AdapterType.LORA),
            savings)) {
      String message = assertThrows(BadJobException.class, () -> gradients(filed, 0)).getMessage();
      assertTrue(
          message.startsWith(
              "offload.path: activations can't be written to %s: "
                  .formatted(file.resolve("there"))),
          message);
    }
  }

  @Test
  void aDiskThatIsFullOrStuckIsHeardOf() {
    CountDownLatch stuck = new CountDownLatch(1);
    try (DiskThread disk = new DiskThread("numbers")) {
      var full =
          disk.submit(
              () -> {
                throw new BadJobException("offload.path: no space");
              });
      assertEquals(
          "offload.path: no space",
          assertThrows(BadJobException.class, () -> full.await(Duration.ofMinutes(1)))
              .getMessage());
      full.end(Duration.ofMinutes(1));
      var waits = disk.submit(() -> awaitQuietly(stuck));
      assertEquals(
          "the disk has not read or written numbers within 0 s",
          assertThrows(IllegalStateException.class, () -> waits.await(Duration.ofMillis(1)))
              .getMessage());
      stuck.countDown();
      waits.end(Duration.ofMinutes(1));
    }
  }

  private static void awaitQuietly(CountDownLatch latch) {
    try {
      latch.await();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
