package org.ftcluster.worker.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.worker.checkpoint.FullModel;
import org.ftcluster.worker.optimizer.AdamW;
import org.ftcluster.worker.optimizer.OptimizerState;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A model that was trained as a whole, and is loaded again. */
class FullModelTest {
  private static final Path GOLDEN = Path.of("src/test/resources/golden");
  private static final TokenBatch BATCH =
      new TokenBatch(
          new int[] {5, 6, 7, 8}, new int[] {6, 7, 8, TokenBatch.NO_TARGET}, new int[] {4});

  @TempDir private Path out;

  /** In float32 a product's last bit may depend on where in memory its factors lie. */
  @ParameterizedTest
  @CsvSource({
    "full-llama, 0",
    "full-qwen2, 0",
    "full-qwen3, 0",
    "full-phi3, 1e-6",
    "full-gemma3, 1e-6"
  })
  void aSavedModelIsTheOneThatWasTrained(String base, float tolerance) {
    JobSpec.Model model = TestModels.float32(GOLDEN.resolve(base));
    Path folder = out.resolve("model");
    float[] trained;
    float[] before;
    try (CausalLanguageModel full =
            ModelLoader.load(model, TestModels.noAdapter(), MemorySavings.NONE, 1);
        OptimizerState state = new OptimizerState(full.parameters().size())) {
      full.initialize(0);
      before = full.logits(BATCH, new int[] {3}, null)[0];
      full.forwardBackward(BATCH, 1, 0);
      new AdamW(0.9, 0.999, 1e-8, 0).update(full.parameters(), state, 1, 1e-2, 1);
      full.parametersChanged();
      trained = full.logits(BATCH, new int[] {3}, null)[0];
      write(folder, model, full.parameters());
    }
    assertFalse(Math.abs(before[0] - trained[0]) < 1e-3, "a step changes the logits");
    try (CausalLanguageModel loaded = ModelLoader.loadFrozen(TestModels.float32(folder), 1, null)) {
      assertArrayEquals(trained, loaded.logits(BATCH, new int[] {3}, null)[0], tolerance);
    }
  }

  @Test
  void aPartOfAModelIsNoWholeOne() {
    JobSpec.Model model = TestModels.float32(GOLDEN.resolve("gemma3-vision"));
    String message =
        assertThrows(
                BadJobException.class,
                () -> ModelLoader.load(model, TestModels.noAdapter(), MemorySavings.NONE, 1))
            .getMessage();
    assertTrue(message.startsWith("adapter.type is none, but of Gemma3"), message);
  }

  @Test
  void trainingBeginsFromTheBaseModel() {
    JobSpec.Model model = TestModels.float32(GOLDEN.resolve("full-llama"));
    try (CausalLanguageModel full =
            ModelLoader.load(model, TestModels.noAdapter(), MemorySavings.NONE, 1);
        CausalLanguageModel base = ModelLoader.loadFrozen(model, 1, null)) {
      full.initialize(0);
      assertEquals(base.lossSum(BATCH), full.lossSum(BATCH));
    }
  }

  @Test
  void aBfloat16ModelSaysSoAndKeepsTheBasesOtherFiles() throws IOException {
    Path golden = GOLDEN.resolve("full-qwen2");
    Path base = Files.createDirectory(out.resolve("base"));
    Files.copy(golden.resolve("config.json"), base.resolve("config.json"));
    Files.copy(golden.resolve("model.safetensors"), base.resolve("model.safetensors"));
    Files.writeString(base.resolve("tokenizer.json"), "{}");
    Files.writeString(base.resolve("model.safetensors.index.json"), "{}");
    Files.writeString(base.resolve("pytorch_model.bin"), "");
    JobSpec.Model model =
        new JobSpec.Model(
            base,
            JobSpec.ComputeType.BFLOAT16,
            new JobSpec.Quantization(JobSpec.QuantizationType.NONE, false));
    Path folder = out.resolve("model");
    double loss;
    try (CausalLanguageModel full =
        ModelLoader.load(model, TestModels.noAdapter(), MemorySavings.RECOMPUTED, 1)) {
      full.initialize(0);
      loss = full.lossSum(BATCH);
      write(folder, model, full.parameters());
    }
    JsonNode config = new JsonMapper().readTree(folder.resolve("config.json").toFile());
    assertEquals("bfloat16", config.get("dtype").asText());
    assertTrue(Files.exists(folder.resolve("tokenizer.json")));
    assertFalse(Files.exists(folder.resolve("pytorch_model.bin")));
    assertFalse(Files.exists(folder.resolve("model.safetensors.index.json")));
    assertTrue(
        Files.exists(folder.resolve("model.safetensors")),
        "weights are of one file, however many the base has");
    JobSpec.Model saved = new JobSpec.Model(folder, model.dtype(), model.quantization());
    try (CausalLanguageModel loaded = ModelLoader.loadFrozen(saved, 1, null)) {
      assertEquals(loss, loaded.lossSum(BATCH), 0.01, "norms are rounded to bfloat16");
    }
  }

  private static void write(Path folder, JobSpec.Model model, ParameterBuffer parameters) {
    FullModel.write(folder, model, parameters.slices(), FloatSource.of(parameters.values()));
  }
}
