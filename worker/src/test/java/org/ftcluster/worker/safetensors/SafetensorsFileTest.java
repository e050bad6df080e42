package org.ftcluster.worker.safetensors;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class SafetensorsFileTest {
  private static final Path GOLDEN = Path.of("src/test/resources/golden");

  @TempDir Path folder;

  @Test
  void readsWhatTransformersWrote() {
    try (SafetensorsFile file = SafetensorsFile.open(GOLDEN.resolve("llama2/model.safetensors"))) {
      assertEquals(Map.of("format", "pt"), file.metadata());
      assertEquals(2 + 1 + 3 * 9, file.names().size());
      TensorView embedding = file.get("model.embed_tokens.weight");
      assertEquals(DType.F32, embedding.dtype());
      assertArrayEquals(new long[] {320, 64}, embedding.shape());
      assertEquals(320 * 64, embedding.size());
      assertEquals(320 * 64 * 4, embedding.data().byteSize());
    }
  }

  @Test
  void readsValuesInPlace() {
    try (SafetensorsFile file = SafetensorsFile.open(GOLDEN.resolve("llama2/golden.safetensors"))) {
      TensorView ids = file.get("input_ids");
      assertEquals(DType.I64, ids.dtype());
      assertArrayEquals(new long[] {3, 40}, ids.shape());
      TensorView mask = file.get("attention_mask");
      long tokens = 0;
      for (long i = 0; i < mask.size(); i++) {
        tokens += mask.data().getAtIndex(ValueLayout.JAVA_LONG_UNALIGNED, i);
      }
      assertEquals(40 + 33 + 26, tokens);
      assertTrue(ids.data().isReadOnly());
    }
  }

  @Test
  void acceptsAnEmptyTensorAndAScalar() throws IOException {
    Path path =
        file(
            """
            {"none":{"dtype":"F32","shape":[0,4],"data_offsets":[0,0]},
             "one":{"dtype":"U8","shape":[],"data_offsets":[0,1]}}""",
            1);
    try (SafetensorsFile file = SafetensorsFile.open(path)) {
      assertEquals(0, file.get("none").size());
      assertEquals(1, file.get("one").size());
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '\0',
      textBlock =
          """
          {"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}} | 4  | tensor a ends at byte 8 of the data, but the file holds 4: it was cut off, or its header is wrong.
          {"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}} | 9  | the tensors end at byte 8 of the data, but the file holds 9.
          {"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}} | 8  | tensor a of F32 [3] takes 12 bytes, but its data_offsets [0, 8] span 8.
          {"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}} | 8  | tensor a has -2 in its shape, where a size belongs.
          {"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}} | 8  | tensor a has 2.0 in its shape, where a size belongs.
          {"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}} | 8  | tensor a has a shape too large to be true: [4294967296, 4294967296].
          {"a":{"dtype":"F8_E4M3","shape":[8],"data_offsets":[0,8]}} | 8  | tensor a has dtype "F8_E4M3", which is not supported; those that are: [F64, I64, F32, I32, F16, BF16, I16, I8, U8, BOOL].
          {"a":{"shape":[8],"data_offsets":[0,8]}} | 8  | tensor a has no dtype.
          {"a":{"dtype":"U8","data_offsets":[0,8]}} | 8  | tensor a has no list shape.
          {"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8,9]}} | 8  | tensor a has data_offsets [0, 8, 9].
          {"a":{"dtype":"U8","shape":[8],"data_offsets":[8,0]}} | 8  | tensor a has data_offsets [8, 0].
          {"a":{"dtype":"U8","shape":[7],"data_offsets":[1,8]}} | 8  | tensor a begins at byte 1 of the data, but the one before it ends at 0.
          {"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[5],"data_offsets":[3,8]}} | 8 | tensor b begins at byte 3 of the data, but the one before it ends at 4.
          {"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"a":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}} | 8 | the header is not valid JSON: Duplicate field 'a'.
          {"__metadata__":{"format":1}} | 0 | __metadata__.format is not a string.
          [1] | 0 | the header is not a JSON object.
          {"a": | 0 | the header is not valid JSON: Unexpected end-of-input within/between Object entries.
          {} {} | 0 | the header goes on after its end.
          """)
  void refusesAFileThatContradictsItself(String header, int dataBytes, String sentence)
      throws IOException {
    assertRefused(sentence, file(header, dataBytes));
  }

  @Test
  void refusesAFileThatEndsInItsHeader() throws IOException {
    Path path = file("{}", 0);
    byte[] whole = Files.readAllBytes(path);

    Files.write(path, Arrays.copyOf(whole, 5));
    assertRefused("holds 5 bytes, too few for a safetensors file.", path);

    Files.write(path, Arrays.copyOf(whole, 9));
    assertRefused("was cut off: its header ends at byte 10, but the file at 9.", path);
  }

  @Test
  void refusesAHeaderLargerThanAnyModelNeeds() throws IOException {
    Path path = folder.resolve("model.safetensors");
    Files.write(path, length(200_000_000));
    assertRefused(
        "claims a header of 200000000 bytes, above the limit of 100000000: it is no safetensors"
            + " file.",
        path);

    Files.write(path, length(-1));
    assertRefused(
        "claims a header of 18446744073709551615 bytes, above the limit of 100000000: it is no"
            + " safetensors file.",
        path);
  }

  @Test
  void namesTheTensorThatIsNotThere() throws IOException {
    Path path = file("{}", 0);
    try (SafetensorsFile file = SafetensorsFile.open(path)) {
      SafetensorsException thrown =
          assertThrows(SafetensorsException.class, () -> file.get("lm_head.weight"));
      assertEquals(path + ": has no tensor lm_head.weight.", thrown.getMessage());
    }
  }

  @Test
  void saysThatAFileIsMissing() {
    assertRefused("there is no such file.", folder.resolve("model.safetensors"));
  }

  private static void assertRefused(String sentence, Path path) {
    SafetensorsException thrown =
        assertThrows(SafetensorsException.class, () -> SafetensorsFile.open(path));
    assertEquals(path + ": " + sentence, thrown.getMessage());
  }

  private Path file(String header, int dataBytes) throws IOException {
    byte[] json = header.getBytes(UTF_8);
    ByteBuffer bytes = ByteBuffer.allocate(Long.BYTES + json.length + dataBytes);
    bytes.put(length(json.length)).put(json);
    return Files.write(folder.resolve("model.safetensors"), bytes.array());
  }

  private static byte[] length(long bytes) {
    return ByteBuffer.allocate(Long.BYTES).order(ByteOrder.LITTLE_ENDIAN).putLong(bytes).array();
  }
}
