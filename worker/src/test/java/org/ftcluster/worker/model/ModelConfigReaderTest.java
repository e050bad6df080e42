package org.ftcluster.worker.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.worker.model.ModelConfig.RopeScaling;
import org.ftcluster.worker.model.ModelConfig.Rotary;
import org.ftcluster.worker.tensor.kernel.Scores;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What a configuration leaves out means what it means to Transformers. */
class ModelConfigReaderTest {
  @TempDir private Path folder;

  private ModelConfig read(String architecture, String more) throws IOException {
    Files.writeString(
        folder.resolve("config.json"),
        """
        {"architectures": ["%s"], "hidden_size": 1024, "intermediate_size": 3072,
         "num_hidden_layers": 28, "num_attention_heads": 16, "num_key_value_heads": 8,
         "vocab_size": 151936 %s}
        """
            .formatted(architecture, more));
    return ModelConfigReader.read(folder);
  }

  @Test
  void headsShareTheHiddenSizeUnlessTheModelIsQwen3() throws IOException {
    assertEquals(64, read("LlamaForCausalLM", "").headSize());
    assertEquals(64, read("Qwen2ForCausalLM", "").headSize());
    assertEquals(128, read("Qwen3ForCausalLM", "").headSize());
    assertEquals(32, read("Qwen3ForCausalLM", ", \"head_dim\": 32").headSize());
  }

  @Test
  void onlyQwen3HasNormsOfHeads() throws IOException {
    assertFalse(read("Qwen2ForCausalLM", "").headNorms());
    assertTrue(read("Qwen3ForCausalLM", "").headNorms());
  }

  @Test
  void biasesAreQwen2sByItselfAndOthersWhereTheySaySo() throws IOException {
    ModelConfig qwen2 = read("Qwen2ForCausalLM", "");
    assertTrue(qwen2.biases().qkv() && !qwen2.biases().output());
    ModelConfig qwen3 = read("Qwen3ForCausalLM", "");
    assertFalse(qwen3.biases().qkv() || qwen3.biases().output());
    ModelConfig biased = read("Qwen3ForCausalLM", ", \"attention_bias\": true");
    assertTrue(biased.biases().qkv() && biased.biases().output());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        ", \"sliding_window\": 4096, \"use_sliding_window\": false",
        ", \"sliding_window\": null, \"use_sliding_window\": true",
        ", \"sliding_window\": 4096, \"use_sliding_window\": true",
        ", \"sliding_window\": 4096, \"use_sliding_window\": true, \"max_window_layers\": 28",
        ", \"layer_types\": [\"full_attention\"], \"use_sliding_window\": true, \"max_window_layers\": 2"
      })
  void aWindowThatNoLayerHasIsNone(String more) throws IOException {
    ModelConfig config = read("Qwen3ForCausalLM", more);
    assertEquals(0, config.slidingWindow());
    assertNull(config.local());
  }

  @Test
  void someLayersOfQwensHaveAWindow() throws IOException {
    ModelConfig config =
        read(
            "Qwen3ForCausalLM",
            ", \"sliding_window\": 4096, \"use_sliding_window\": true, \"max_window_layers\": 21");
    assertEquals(0, config.ofLayer(20).slidingWindow());
    assertEquals(4096, config.ofLayer(21).slidingWindow());
    assertEquals(config.rotary(), config.ofLayer(21).rotary());
  }

  /** As it was published of a model that sees, too. */
  @Test
  void whatGemma3LeavesOutIsWhatTransformersTakes() throws IOException {
    Files.writeString(
        folder.resolve("config.json"),
        """
        {"architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3",
         "text_config": {"hidden_size": 2560, "intermediate_size": 10240,
           "model_type": "gemma3_text", "num_hidden_layers": 34,
           "rope_scaling": {"factor": 8.0, "rope_type": "linear"}, "sliding_window": 1024},
         "vision_config": {"hidden_size": 1152, "num_hidden_layers": 27, "vocab_size": 3}}
        """);
    ModelConfig config = ModelConfigReader.read(folder);
    assertEquals(8, config.heads());
    assertEquals(4, config.keyValueHeads());
    assertEquals(256, config.headSize());
    assertEquals(262_208, config.vocabularySize());
    assertEquals(new Rotary(1_000_000, 256, new RopeScaling.Linear(8)), config.rotary());
    assertEquals(new Rotary(10_000, 256, null), config.ofLayer(0).rotary());
    assertEquals(1024, config.ofLayer(0).slidingWindow());
    assertTrue(config.tiedHead());
  }

  /** What Transformers writes of a language model inside another says that it is tied, always. */
  @Test
  void theWholeModelSaysWhetherTheHeadIsTheEmbedding() throws IOException {
    Path published = Path.of("src/test/resources/golden/gemma3-vision/config.json");
    String json = Files.readString(published);
    int last = json.lastIndexOf("\"tie_word_embeddings\": true");
    Files.writeString(
        folder.resolve("config.json"),
        json.substring(0, last) + json.substring(last).replaceFirst("true", "false"));
    assertTrue(ModelConfigReader.read(published).tiedHead());
    assertFalse(ModelConfigReader.read(folder).tiedHead());
  }

  /** As Transformers 4 and 5 write it. */
  @ParameterizedTest
  @ValueSource(
      strings = {
        """
        , "sliding_window": 512, "sliding_window_pattern": 6, "rope_theta": 1000000,
        "rope_local_base_freq": 10000, "rope_scaling": {"rope_type": "linear", "factor": 8.0}
        """,
        """
        , "sliding_window": 512, "rope_parameters": {
        "sliding_attention": {"rope_type": "default", "rope_theta": 10000},
        "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1000000}}
        """
      })
  void fiveOfSixLayersOfGemma3LookBackOverAWindowByFrequenciesOfTheirOwn(String more)
      throws IOException {
    ModelConfig config = read("Gemma3ForCausalLM", more);
    assertEquals(256, config.headSize());
    assertEquals(Scores.scaled(1.0 / 16), config.scores());
    assertTrue(config.tiedHead());
    for (int layer = 0; layer < 28; layer++) {
      ModelConfig own = config.ofLayer(layer);
      boolean isLocal = layer % 6 != 5;
      assertEquals(isLocal ? 512 : 0, own.slidingWindow());
      assertEquals(
          isLocal
              ? new Rotary(10_000, 256, null)
              : new Rotary(1_000_000, 256, new RopeScaling.Linear(8)),
          own.rotary());
    }
  }

  /** As Transformers 4 and 5 write Phi-4-mini's. */
  @ParameterizedTest
  @ValueSource(
      strings = {
        """
        , "max_position_embeddings": 131072, "original_max_position_embeddings": 4096,
        "partial_rotary_factor": 0.125, "rope_theta": 500000,
        "rope_scaling": {"type": "longrope", "short_factor": [1, 1.5, 2, 3], "long_factor": [1, 2, 4, 8]}
        """,
        """
        , "max_position_embeddings": 131072, "rope_parameters": {"rope_type": "longrope",
        "rope_theta": 500000, "partial_rotary_factor": 0.125, "short_factor": [1, 1.5, 2, 3],
        "long_factor": [1, 2, 4, 8], "original_max_position_embeddings": 4096}
        """
      })
  void phi3RotatesAPartOfAHeadByFrequenciesWithFactorsOfTheirOwn(String more) throws IOException {
    ModelConfig config = read("Phi3ForCausalLM", more);
    RopeScaling scaling =
        new RopeScaling.LongRope(List.of(1.0, 1.5, 2.0, 3.0), Math.sqrt(1 + 5.0 / 12), 4096);
    assertEquals(new Rotary(500_000, 8, scaling), config.rotary());
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "\"rope_scaling\": {\"type\": \"longrope\", \"short_factor\": [1, 2]} | short_factor must be 32",
        "\"rope_scaling\": {\"type\": \"yarn\"} | type yarn is not supported",
        "\"partial_rotary_factor\": 0.05 | 3 elements",
        "\"partial_rotary_factor\": 1.5 | 96 elements"
      })
  void rotationsThatCantBeAreRefused(String more, String problem) {
    String message =
        assertThrows(BadJobException.class, () -> read("Phi3ForCausalLM", ", " + more))
            .getMessage();
    assertTrue(message.contains(problem), message);
  }

  @Test
  void sequencesBeyondWhatLongropesShortFactorsAreForAreRefused() throws IOException {
    ModelConfig config = ModelConfigReader.read(Path.of("src/test/resources/golden/phi4-mini"));
    config.checkLength(64);
    String message = assertThrows(BadJobException.class, () -> config.checkLength(65)).getMessage();
    assertTrue(message.contains("65 tokens here (max_length)"), message);
    assertTrue(message.contains("reaches 64:"), message);

    RotaryTable table = new RotaryTable(config.rotary());
    assertEquals(6, table.angles(64).frequencies().length);
    assertThrows(IllegalArgumentException.class, () -> table.angles(65));
  }
}
