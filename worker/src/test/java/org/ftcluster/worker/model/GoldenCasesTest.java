package org.ftcluster.worker.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.worker.checkpoint.MergedModel;
import org.ftcluster.worker.checkpoint.PeftAdapter;
import org.ftcluster.worker.optimizer.AdamW;
import org.ftcluster.worker.optimizer.GradientClip;
import org.ftcluster.worker.optimizer.OptimizerState;
import org.ftcluster.worker.safetensors.SafetensorsFile;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

/**
 * Every case below {@code -Dgolden.dir=}, by default those of the test resources: what Transformers
 * + PEFT compute in float32 is what we compute, to 1e-4 relative or 2e-5 absolute.
 */
class GoldenCasesTest {
  private static final double RELATIVE = 1e-4;
  private static final double ABSOLUTE = 2e-5;

  @TempDir private Path temporary;

  @TestFactory
  Stream<DynamicTest> cases() throws IOException {
    String configured = System.getProperty("golden.dir", "");
    Path folder = Path.of(configured.isBlank() ? "src/test/resources/golden" : configured);
    List<Path> cases;
    try (Stream<Path> folders = Files.list(folder)) {
      cases =
          folders
              .filter(path -> Files.exists(path.resolve("golden.safetensors")))
              .sorted()
              .toList();
    }
    assertFalse(cases.isEmpty(), "no case below " + folder);
    return cases.stream().flatMap(path -> tests(path).stream());
  }

  private List<DynamicTest> tests(Path path) {
    return List.of(
        DynamicTest.dynamicTest(path.getFileName() + "", () -> check(path, MemorySavings.NONE)),
        DynamicTest.dynamicTest(
            path.getFileName() + ", recomputed", () -> check(path, MemorySavings.RECOMPUTED)),
        DynamicTest.dynamicTest(path.getFileName() + ", merged", () -> checkMerged(path)));
  }

  /** The adapter's file, and the model that is made of it and the base. */
  private void checkMerged(Path folder) throws IOException {
    JsonNode settings = settings(folder);
    Assumptions.assumeTrue(settings.has("lora"), "all of the model is trained");
    JobSpec.Adapter lora = TestModels.adapter(settings.path("lora"));
    Path adapter = temporary.resolve(folder.getFileName() + "-adapter");
    Path merged = temporary.resolve(folder.getFileName() + "-merged");
    try (SafetensorsFile golden = SafetensorsFile.open(folder.resolve("golden.safetensors"))) {
      try (CausalLanguageModel model =
          ModelLoader.load(TestModels.float32(folder), lora, MemorySavings.NONE, 1)) {
        new Case(golden, settings, model).setAdapter();
        ParameterBuffer parameters = model.parameters();
        PeftAdapter.write(
            adapter, lora, folder, parameters.slices(), FloatSource.of(parameters.values()));
      }
      MergedModel.write(merged, folder, adapter, 1);
      try (CausalLanguageModel model =
          ModelLoader.loadFrozen(TestModels.float32(merged), 1, null)) {
        Case alone = new Case(golden, settings, model);
        alone.checkLogits("logits", alone.batch());
      }
    }
  }

  private static JsonNode settings(Path folder) throws IOException {
    try {
      ModelConfigReader.read(folder);
    } catch (BadJobException e) {
      Assumptions.abort(e.getMessage());
    }
    return new JsonMapper().readTree(folder.resolve("golden.json").toFile());
  }

  private static void check(Path folder, MemorySavings savings) throws IOException {
    JsonNode settings = settings(folder);
    try (SafetensorsFile golden = SafetensorsFile.open(folder.resolve("golden.safetensors"));
        CausalLanguageModel model =
            ModelLoader.load(
                TestModels.float32(folder),
                TestModels.adapter(settings.path("lora")),
                savings,
                1)) {
      new Case(golden, settings, model).check();
    }
  }

  /** One case against one model. */
  private record Case(SafetensorsFile golden, JsonNode settings, CausalLanguageModel model) {
    void check() {
      TokenBatch batch = batch();
      model.initialize(0);
      checkLogits("base_logits", batch);
      setAdapter();
      checkLogits("logits", batch);

      float[] losses = floats("loss");
      float[] norms = floats("grad_norm");
      try (OptimizerState state = new OptimizerState(model.parameters().size())) {
        for (int step = 0; step < losses.length; step++) {
          double scale = 1.0 / batch.targetCount();
          close("loss " + step, losses[step], model.forwardBackward(batch, scale, 0) * scale);
          if (step == 0) {
            checkGradients();
            close("loss without gradients", losses[0], model.lossSum(batch) * scale);
          }
          close("grad_norm " + step, norms[step], update(state, step + 1));
          model.parametersChanged();
        }
      }
      for (ParameterBuffer.Slice slice : model.parameters().slices()) {
        checkFinal(slice, losses.length);
      }
    }

    /** Gives it the values that the golden ones begin with. */
    void setAdapter() {
      for (ParameterBuffer.Slice slice : model.parameters().slices()) {
        TestModels.set(model.parameters().values(), slice, floats("init." + slice.name()));
      }
      model.parametersChanged();
    }

    private void checkGradients() {
      for (ParameterBuffer.Slice slice : model.parameters().slices()) {
        float[] gradient = TestModels.get(model.parameters().gradients(), slice);
        close("grad." + slice.name(), floats("grad." + slice.name()), gradient);
      }
    }

    /** Clips, updates, and returns the gradient's norm before clipping. */
    private double update(OptimizerState state, int step) {
      JsonNode o = settings.path("optimizer");
      AdamW adamW =
          new AdamW(
              o.path("betas").path(0).asDouble(),
              o.path("betas").path(1).asDouble(),
              o.path("eps").asDouble(),
              o.path("weight_decay").asDouble());
      ParameterBuffer parameters = model.parameters();
      double norm = GradientClip.norm(parameters.gradients());
      float clip = GradientClip.scale(norm, o.path("max_grad_norm").asDouble());
      adamW.update(parameters, state, step, o.path("lr").asDouble(), clip);
      return norm;
    }

    /**
     * Adam divides a gradient by its own size, so an element whose gradient is hardly more than the
     * rounding of its tensor's largest one moves by a step whose size is rounding, too; the
     * tolerance grows for those elements and for no others.
     */
    private void checkFinal(ParameterBuffer.Slice slice, int steps) {
      float[] expected = floats("final." + slice.name());
      float[] actual = TestModels.get(model.parameters().values(), slice);
      float[] gradient = floats("grad." + slice.name());
      double largest = 0;
      for (float g : gradient) {
        largest = Math.max(largest, Math.abs(g));
      }
      double rate = settings.path("optimizer").path("lr").asDouble();
      for (int i = 0; i < expected.length; i++) {
        double rounding = Math.ulp(1f) * largest / Math.abs(gradient[i]);
        double tolerance = tolerance(expected[i]) + (rounding > 1e-3 ? rate * steps * rounding : 0);
        assertEquals(expected[i], actual[i], tolerance, "final." + slice.name() + "[" + i + "]");
      }
    }

    /** All rows of the batch against the golden logits of the tokens that are no padding. */
    private void checkLogits(String name, TokenBatch batch) {
      int[] rows = new int[batch.tokenCount()];
      for (int i = 0; i < rows.length; i++) {
        rows[i] = i;
      }
      float[][] logits = model.logits(batch, rows, null);
      float[] expected = floats(name);
      long[] mask = longs("attention_mask");
      int row = 0;
      for (int i = 0; i < mask.length; i++) {
        if (mask[i] == 1) {
          int width = logits[row].length;
          float[] expectedRow = java.util.Arrays.copyOfRange(expected, i * width, (i + 1) * width);
          close(name + " of token " + i, expectedRow, logits[row++]);
        }
      }
    }

    /** The padded batch as sequences end to end. */
    private TokenBatch batch() {
      long[] shape = golden.get("input_ids").shape();
      long[] ids = longs("input_ids");
      long[] mask = longs("attention_mask");
      long[] labels = longs("labels");
      int width = (int) shape[1];
      List<Integer> tokens = new ArrayList<>();
      List<Integer> targets = new ArrayList<>();
      int[] lengths = new int[(int) shape[0]];
      for (int b = 0; b < shape[0]; b++) {
        for (int t = 0; t < width && mask[b * width + t] == 1; t++) {
          tokens.add((int) ids[b * width + t]);
          targets.add(t + 1 < width ? (int) labels[b * width + t + 1] : TokenBatch.NO_TARGET);
          lengths[b]++;
        }
      }
      return new TokenBatch(
          tokens.stream().mapToInt(i -> i).toArray(),
          targets.stream().mapToInt(i -> i).toArray(),
          lengths);
    }

    private float[] floats(String name) {
      return golden.get(name).data().toArray(ValueLayout.JAVA_FLOAT_UNALIGNED);
    }

    private long[] longs(String name) {
      return golden.get(name).data().toArray(ValueLayout.JAVA_LONG_UNALIGNED);
    }
  }

  private static void close(String what, float[] expected, float[] actual) {
    assertEquals(expected.length, actual.length, what);
    for (int i = 0; i < expected.length; i++) {
      close(what + "[" + i + "]", expected[i], actual[i]);
    }
  }

  private static void close(String what, double expected, double actual) {
    assertEquals(expected, actual, tolerance(expected), what);
  }

  private static double tolerance(double expected) {
    return Math.max(ABSOLUTE, RELATIVE * Math.abs(expected));
  }
}
