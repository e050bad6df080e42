package org.ftcluster.worker.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.job.JobSpec.PreferenceLoss;
import org.ftcluster.worker.safetensors.SafetensorsFile;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Losses and gradients of pairs are those of TRL in float32, to 1e-4 relative or 2e-5 absolute. */
class GoldenPairsTest {
  private static final Path CASES = Path.of("src/test/resources/pairs");
  private static final Path MODELS = Path.of("src/test/resources/golden");

  @ParameterizedTest
  @CsvSource({
    "llama3, dpo",
    "llama3, dpo-smoothed",
    "llama3, ipo",
    "llama3, simpo",
    "llama3, orpo",
    "gemma2, dpo",
    "gemma2, orpo",
    "full-llama, simpo",
    "full-llama, orpo"
  })
  void pairsAreLearnedFromAsTrlDoes(String name, String label) throws IOException {
    Path folder = MODELS.resolve(name);
    JobSpec.Preference settings = preference(label);
    try (SafetensorsFile golden = SafetensorsFile.open(CASES.resolve(name + ".safetensors"));
        CausalLanguageModel model =
            ModelLoader.load(TestModels.float32(folder), adapter(folder), MemorySavings.NONE, 1)) {
      model.initialize(0);
      setAdapter(folder, model);
      TokenBatch answers = batch(golden);
      PairLoss loss = new PairLoss(settings);
      double[] reference = loss.needsReference() ? model.losses(answers, false) : new double[0];
      TokenBatch batch = answers.withPairs(new TokenBatch.Pairs(loss, reference));
      int pairs = answers.lengths().length / 2;

      double[] margins =
          batch.pairResults(model.losses(batch, true)).stream()
              .mapToDouble(PairLoss.Result::margin)
              .toArray();
      double mean = model.forwardBackward(batch, 1.0 / pairs, 0) / pairs;

      close("loss", floats(golden, label + ".loss")[0], mean);
      float[] expectedMargins = floats(golden, label + ".margin");
      for (int i = 0; i < pairs; i++) {
        close("margin " + i, expectedMargins[i], margins[i]);
      }
      checkGradients(golden, label, model);
    }
  }

  private static void checkGradients(
      SafetensorsFile golden, String label, CausalLanguageModel model) {
    int checked = 0;
    for (ParameterBuffer.Slice slice : model.parameters().slices()) {
      String key = label + ".grad." + slice.name();
      if (!golden.names().contains(key)) {
        continue;
      }
      float[] expected = floats(golden, key);
      float[] actual = TestModels.get(model.parameters().gradients(), slice);
      assertEquals(expected.length, actual.length, key);
      for (int i = 0; i < expected.length; i++) {
        close(key + "[" + i + "]", expected[i], actual[i]);
      }
      checked++;
    }
    assertTrue(checked >= 4, "only %d tensors".formatted(checked));
  }

  private static JobSpec.Preference preference(String label) throws IOException {
    JsonNode settings =
        new JsonMapper().readTree(CASES.resolve("settings.json").toFile()).path(label);
    return new JobSpec.Preference(
        PreferenceLoss.valueOf(settings.path("loss").asText().toUpperCase(Locale.ROOT)),
        settings.path("beta").asDouble(),
        settings.path("label_smoothing").asDouble(),
        settings.path("gamma").asDouble());
  }

  private static JobSpec.Adapter adapter(Path folder) throws IOException {
    return TestModels.adapter(
        new JsonMapper().readTree(folder.resolve("golden.json").toFile()).path("lora"));
  }

  /** The values that the model's own golden case begins with. */
  private static void setAdapter(Path folder, CausalLanguageModel model) {
    try (SafetensorsFile golden = SafetensorsFile.open(folder.resolve("golden.safetensors"))) {
      for (ParameterBuffer.Slice slice : model.parameters().slices()) {
        if (golden.names().contains("init." + slice.name())) {
          TestModels.set(
              model.parameters().values(), slice, floats(golden, "init." + slice.name()));
        }
      }
    }
    model.parametersChanged();
  }

  /** TRL's better answers, then its worse ones, two by two. */
  private static TokenBatch batch(SafetensorsFile golden) {
    int[] shape = {
      (int) golden.get("input_ids").shape()[0], (int) golden.get("input_ids").shape()[1]
    };
    long[] ids = longs(golden, "input_ids");
    long[] real = longs(golden, "attention_mask");
    long[] answer = longs(golden, "completion_mask");
    List<Integer> tokens = new ArrayList<>();
    List<Integer> targets = new ArrayList<>();
    int[] lengths = new int[shape[0]];
    for (int i = 0; i < shape[0]; i++) {
      int row = i / 2 + i % 2 * shape[0] / 2;
      for (int t = row * shape[1]; t < (row + 1) * shape[1] && real[t] == 1; t++) {
        boolean isLast = t + 1 == (row + 1) * shape[1];
        tokens.add((int) ids[t]);
        targets.add(!isLast && answer[t + 1] == 1 ? (int) ids[t + 1] : TokenBatch.NO_TARGET);
        lengths[i]++;
      }
    }
    return new TokenBatch(
        tokens.stream().mapToInt(i -> i).toArray(),
        targets.stream().mapToInt(i -> i).toArray(),
        lengths);
  }

  private static float[] floats(SafetensorsFile file, String name) {
    return file.get(name).data().toArray(ValueLayout.JAVA_FLOAT_UNALIGNED);
  }

  private static long[] longs(SafetensorsFile file, String name) {
    return file.get(name).data().toArray(ValueLayout.JAVA_LONG_UNALIGNED);
  }

  private static void close(String what, double expected, double actual) {
    assertEquals(expected, actual, Math.max(2e-5, 1e-4 * Math.abs(expected)), what);
  }
}
