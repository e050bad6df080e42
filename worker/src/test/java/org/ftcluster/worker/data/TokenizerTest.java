package org.ftcluster.worker.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import org.ftcluster.protocol.job.BadJobException;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TokenizerTest {
  @TempDir Path folder;

  @BeforeEach
  void copyTokenizer() throws IOException {
    Files.copy(SampleJob.FOLDER.resolve("base/tokenizer.json"), folder.resolve("tokenizer.json"));
  }

  @Test
  void decodesWhatItEncoded() {
    try (Tokenizer tokenizer = SampleJob.tokenizer();
        JsonlReader reader = JsonlReader.open(SampleJob.FOLDER.resolve("eval.jsonl"))) {
      int lines = 0;
      for (JsonlReader.Line line = reader.next(); line != null; line = reader.next()) {
        String code = line.fields().get("output").asText();
        assertEquals(code, tokenizer.decode(tokenizer.encode(code)));
        lines++;
      }
      assertEquals(300, lines);
    }
  }

  @Test
  void agreesWithTransformers() {
    try (Tokenizer tokenizer = SampleJob.tokenizer()) {
      assertEquals(533, tokenizer.size());
      assertEquals(OptionalInt.of(1), tokenizer.bos());
      assertEquals(OptionalInt.of(2), tokenizer.eos());
      assertEquals(Set.of(2), tokenizer.stops());
      assertArrayEquals(
          new int[] {283, 298, 10, 283, 288, 11, 299, 278, 304, 288, 350, 293, 29, 201, 95, 201},
          tokenizer.encode("int f(int a) {\n  return a + 1;\n}\n"));
      assertArrayEquals(new int[] {1, 317}, tokenizer.encodePrompt("ret"));
      assertEquals("ret", tokenizer.decode(new int[] {1, 317, 2}));
    }
  }

  @Test
  void takesLongTextsWhole() {
    try (Tokenizer tokenizer = SampleJob.tokenizer()) {
      String text = "mov eax, edx\n".repeat(2000);
      assertEquals(text, tokenizer.decode(tokenizer.encode(text)));
    }
  }

  @Test
  void theTokenizersConfigurationDecidesOnBeginningAndEnd() throws IOException {
    write("config.json", "{\"bos_token_id\": 1, \"eos_token_id\": [2, 0]}");

    write(
        "tokenizer_config.json",
        "{\"bos_token\": {\"content\": \"<s>\"}, \"eos_token\": {\"content\": \"</s>\"}}");
    assertSpecial(OptionalInt.of(1), OptionalInt.of(2), Set.of(2));

    write("tokenizer_config.json", "{\"bos_token\": null, \"eos_token\": \"<pad>\"}");
    assertSpecial(OptionalInt.empty(), OptionalInt.of(0), Set.of(0));

    write("tokenizer_config.json", "{\"bos_token\": \"<s>\", \"add_bos_token\": false}");
    assertSpecial(OptionalInt.empty(), OptionalInt.empty(), Set.of());

    Files.delete(folder.resolve("tokenizer_config.json"));
    assertSpecial(OptionalInt.of(1), OptionalInt.of(2), Set.of(2));

    write("generation_config.json", "{\"eos_token_id\": [2, 7]}");
    assertSpecial(OptionalInt.of(1), OptionalInt.of(2), Set.of(2, 7));
  }

  @Test
  void refusesATokenizerLargerThanTheEmbedding() {
    assertRefused(
        532,
        "tokenizer.json: has 533 tokens, but the model's embedding only 532: it belongs to"
            + " another model.");
  }

  @Test
  void specialTokensNeedNoEmbeddingUntilATextHasThem() throws IOException {
    Path file = folder.resolve("tokenizer.json");
    String json = Files.readString(file);
    int added = json.indexOf("\"added_tokens\"");
    int first = json.indexOf('[', added) + 1;
    String image =
        "{\"id\": 533, \"content\": \"<image>\", \"special\": true, \"single_word\": false,"
            + " \"lstrip\": false, \"rstrip\": false, \"normalized\": false},";
    write("tokenizer.json", json.substring(0, first) + image + json.substring(first));

    try (Tokenizer tokenizer = Tokenizer.open(folder, 533)) {
      assertEquals(Optional.empty(), tokenizer.stranger(tokenizer.encode("mov eax, 1")));
      assertEquals(Optional.of("<image>"), tokenizer.stranger(tokenizer.encode("mov <image> eax")));
    }
  }

  @Test
  void refusesFilesThatAreNone() throws IOException {
    write("tokenizer_config.json", "{\"bos_token\": \"<begin>\"}");
    assertRefused(
        1024,
        "tokenizer_config.json: its bos_token is <begin>, which tokenizer.json does not have.");

    write("tokenizer_config.json", "{");
    assertRefused(1024, "tokenizer_config.json:1: this is not valid JSON.");

    write("tokenizer.json", "{\n1");
    assertRefused(1024, "tokenizer.json:2: this is not valid JSON.");

    Files.delete(folder.resolve("tokenizer_config.json"));
    write("tokenizer.json", "{}");
    assertRefused(1024, "tokenizer.json: this is no tokenizer: Model missing. at line 1 column 2.");

    Files.delete(folder.resolve("tokenizer.json"));
    assertRefused(1024, "tokenizer.json: there is no such file.");
  }

  private void assertSpecial(OptionalInt bos, OptionalInt eos, Set<Integer> stops) {
    try (Tokenizer tokenizer = Tokenizer.open(folder, 1024)) {
      assertEquals(bos, tokenizer.bos());
      assertEquals(eos, tokenizer.eos());
      assertEquals(stops, tokenizer.stops());
    }
  }

  private void assertRefused(int embeddings, String sentence) {
    BadJobException thrown =
        assertThrows(BadJobException.class, () -> Tokenizer.open(folder, embeddings));
    assertEquals(folder + "/" + sentence, thrown.getMessage());
  }

  private void write(String file, String json) throws IOException {
    Files.writeString(folder.resolve(file), json);
  }
}
