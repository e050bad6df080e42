package org.ftcluster.worker.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.worker.model.ModelConfig.RopeScaling;
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
    assertTrue(qwen2.qkvBias() && !qwen2.outputBias());
    ModelConfig qwen3 = read("Qwen3ForCausalLM", "");
    assertFalse(qwen3.qkvBias() || qwen3.outputBias());
    ModelConfig biased = read("Qwen3ForCausalLM", ", \"attention_bias\": true");
    assertTrue(biased.qkvBias() && biased.outputBias());
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
    assertEquals(0, read("Qwen3ForCausalLM", more).slidingWindow());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        ", \"sliding_window\": 4096, \"use_sliding_window\": true, \"max_window_layers\": 21",
        ", \"layer_types\": [\"full_attention\", \"sliding_attention\"]"
      })
  void aWindowOfSomeLayersIsRefused(String more) {
    String problem =
        assertThrows(BadJobException.class, () -> read("Qwen3ForCausalLM", more)).getMessage();
    assertTrue(problem.contains("sliding window"), problem);
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
    assertEquals(8, config.rotarySize());
    assertEquals(500_000, config.ropeTheta());
    assertEquals(
        new RopeScaling.LongRope(List.of(1.0, 1.5, 2.0, 3.0), Math.sqrt(1 + 5.0 / 12), 4096),
        config.ropeScaling());
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
    RotaryTable table = new RotaryTable(config);
    assertEquals(6, table.angles(64).frequencies().length);
    String message = assertThrows(BadJobException.class, () -> table.angles(65)).getMessage();
    assertTrue(message.contains("65 tokens") && message.contains("at 64"), message);
  }
}
