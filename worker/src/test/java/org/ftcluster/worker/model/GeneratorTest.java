package org.ftcluster.worker.model;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.ftcluster.worker.model.Generator.Sampling;
import org.ftcluster.worker.tensor.Accelerator;
import org.ftcluster.worker.tensor.cuda.SimulatedDevice;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class GeneratorTest {
  private static final List<int[]> PROMPTS =
      List.of(new int[] {1, 17, 40, 99}, new int[] {1, 250, 8, 77, 31, 200, 5}, new int[] {3});
  private static final int NEW_TOKENS = 24;

  private static CausalLanguageModel model(String name) {
    return model(name, null);
  }

  private static CausalLanguageModel model(String name, @Nullable Accelerator accelerator) {
    Path folder = Path.of("src/test/resources/golden", name);
    return ModelLoader.load(
        TestModels.float32(folder),
        TestModels.adapter(4, 8, List.of("all-linear")),
        MemorySavings.NONE,
        1,
        accelerator);
  }

  private static List<int[]> generate(CausalLanguageModel model, Sampling sampling, int... ends) {
    var settings =
        new Generator.Settings(NEW_TOKENS, sampling, Arrays.stream(ends).boxed().toList());
    return new Generator(model, settings).generate(PROMPTS);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"llama3", "mistral", "qwen2", "qwen3", "phi3", "phi4-mini", "gemma2", "gemma3"})
  void greedyTokensAreThoseOfRunningTheWholeSequenceAgainForEachToken(String name) {
    try (CausalLanguageModel model = model(name)) {
      List<int[]> generated = generate(model, new Sampling.Greedy());

      for (int i = 0; i < PROMPTS.size(); i++) {
        List<Integer> tokens = new ArrayList<>(Arrays.stream(PROMPTS.get(i)).boxed().toList());
        for (int n = 0; n < NEW_TOKENS; n++) {
          tokens.add(likeliestNext(model, tokens));
        }
        int[] expected =
            tokens.stream().skip(PROMPTS.get(i).length).mapToInt(token -> token).toArray();
        assertArrayEquals(expected, generated.get(i), "prompt " + i);
      }
    }
  }

  @Test
  void aSequenceEndsWhereTheModelsFrequenciesDo() {
    try (CausalLanguageModel model = model("phi4-mini")) {
      int[] prompt = new int[60];
      Arrays.fill(prompt, 7);
      var settings = new Generator.Settings(NEW_TOKENS, new Sampling.Greedy(), List.of());
      List<int[]> generated =
          new Generator(model, settings).generate(List.of(prompt, new int[] {7, 8, 9}));
      assertEquals(64, prompt.length + generated.get(0).length - 1, "the last one isn't looked at");
      assertEquals(NEW_TOKENS, generated.get(1).length);
    }
  }

  private static int likeliestNext(CausalLanguageModel model, List<Integer> sequence) {
    int[] tokens = sequence.stream().mapToInt(token -> token).toArray();
    int[] targets = new int[tokens.length];
    Arrays.fill(targets, TokenBatch.NO_TARGET);
    TokenBatch batch = new TokenBatch(tokens, targets, new int[] {tokens.length});
    float[] logits = model.logits(batch, new int[] {tokens.length - 1}, null)[0];
    int best = 0;
    for (int i = 0; i < logits.length; i++) {
      best = logits[i] > logits[best] ? i : best;
    }
    return best;
  }

  /** The GPU is simulated. */
  @ParameterizedTest
  @ValueSource(
      strings = {"llama3", "mistral", "qwen2", "qwen3", "phi3", "phi4-mini", "gemma2", "gemma3"})
  void aGpuFindsTheTokensThatTheCpuFinds(String name) {
    try (Accelerator gpu = SimulatedDevice.open();
        CausalLanguageModel onHost = model(name);
        CausalLanguageModel onGpu = model(name, gpu)) {
      for (CausalLanguageModel model : List.of(onHost, onGpu)) {
        SplittableRandom random = new SplittableRandom(5);
        MemorySegment values = model.parameters().values();
        for (long i = 0; i < model.parameters().size(); i++) {
          values.setAtIndex(JAVA_FLOAT, i, (float) random.nextGaussian(0, 0.1));
        }
        model.parametersChanged();
      }
      List<int[]> expected = generate(onHost, new Sampling.Greedy());
      List<int[]> found = generate(onGpu, new Sampling.Greedy());

      for (int i = 0; i < PROMPTS.size(); i++) {
        assertArrayEquals(expected.get(i), found.get(i), "prompt " + i);
      }
    }
  }

  @Test
  void anEndTokenEndsItsSequenceAndIsLeftOut() {
    try (CausalLanguageModel model = model("llama2")) {
      List<int[]> whole = generate(model, new Sampling.Greedy());
      int end = whole.get(0)[3];

      int[] cut = generate(model, new Sampling.Greedy(), end).get(0);

      assertArrayEquals(Arrays.copyOf(whole.get(0), cut.length), cut);
      assertEquals(end, whole.get(0)[cut.length]);
    }
  }

  @Test
  void theSameSeedGivesTheSameText() {
    try (CausalLanguageModel model = model("llama2")) {
      Sampling sampling = new Sampling.Nucleus(1.0, 0.9, 7);

      List<int[]> first = generate(model, sampling);
      List<int[]> second = generate(model, sampling);

      for (int i = 0; i < first.size(); i++) {
        assertArrayEquals(first.get(i), second.get(i));
      }
    }
  }

  @Test
  void nucleusKeepsTheFewestTokensThatReachTopP() {
    float[] logits = {(float) Math.log(0.2), (float) Math.log(0.5), (float) Math.log(0.3)};
    var nucleus = new Sampling.Nucleus(1.0, 0.7, 0);

    assertEquals(1, Generator.draw(logits, nucleus, 0.0));
    assertEquals(1, Generator.draw(logits, nucleus, 0.62));
    assertEquals(2, Generator.draw(logits, nucleus, 0.63));
    assertEquals(2, Generator.draw(logits, nucleus, 0.999));
  }

  @Test
  void aTemperatureOfZeroIsRefused() {
    assertThrows(IllegalArgumentException.class, () -> new Sampling.Nucleus(0, 0.9, 1));
  }
}
