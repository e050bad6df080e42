package org.ftcluster.worker.safetensors;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SafetensorsFolderTest {
  @TempDir Path folder;

  @Test
  void readsASingleFile() throws IOException {
    shard("model.safetensors", "a", "b");

    try (SafetensorsFolder weights = SafetensorsFolder.open(folder)) {
      assertEquals(Set.of("a", "b"), weights.names());
      assertEquals("b", weights.get("b").name());
    }
  }

  @Test
  void readsShardsThroughTheirIndex() throws IOException {
    shard("model-00001-of-00002.safetensors", "a", "b");
    shard("model-00002-of-00002.safetensors", "c");
    index(
        """
        {"metadata": {"total_size": 3}, "weight_map": {
          "a": "model-00001-of-00002.safetensors",
          "b": "model-00001-of-00002.safetensors",
          "c": "model-00002-of-00002.safetensors"}}""");

    try (SafetensorsFolder weights = SafetensorsFolder.open(folder)) {
      assertEquals(Set.of("a", "b", "c"), weights.names());
      assertEquals("c", weights.get("c").name());
      SafetensorsException thrown =
          assertThrows(SafetensorsException.class, () -> weights.get("d"));
      assertEquals(folder + ": its weights have no tensor d.", thrown.getMessage());
    }
  }

  @Test
  void refusesAFolderWithoutWeights() throws IOException {
    assertRefused(
        folder
            + ": holds no weights: neither model.safetensors nor model.safetensors.index.json is"
            + " there.");

    Files.createFile(folder.resolve("pytorch_model.bin"));
    assertRefused(
        folder
            + ": holds no weights: neither model.safetensors nor model.safetensors.index.json is"
            + " there, and pytorch_model.bin is not read; convert it to safetensors.");
  }

  @Test
  void refusesShardsOutsideTheFolder() throws IOException {
    for (String name : List.of("../a.safetensors", "/etc/a.safetensors", "..", "a.bin", "")) {
      index("{\"weight_map\": {\"a\": \"%s\"}}".formatted(name));
      assertRefused(
          "%s: names \"%s\" as the file of a, but a shard is a plain file name that ends in .safetensors."
              .formatted(folder.resolve("model.safetensors.index.json"), name));
    }
  }

  @Test
  void refusesAnIndexThatDoesNotMatchItsShards() throws IOException {
    shard("model-00001-of-00001.safetensors", "a");
    index("{\"weight_map\": {\"b\": \"model-00001-of-00001.safetensors\"}}");
    assertRefused(
        folder.resolve("model.safetensors.index.json")
            + ": says that model-00001-of-00001.safetensors holds tensor b, but it doesn't.");

    index("{\"weight_map\": {\"a\": \"model-00009-of-00009.safetensors\"}}");
    assertRefused(folder.resolve("model-00009-of-00009.safetensors") + ": there is no such file.");

    index("{}");
    assertRefused(folder.resolve("model.safetensors.index.json") + ": has no weight_map.");
  }

  private void assertRefused(String sentence) {
    SafetensorsException thrown =
        assertThrows(SafetensorsException.class, () -> SafetensorsFolder.open(folder));
    assertEquals(sentence, thrown.getMessage());
  }

  private void index(String json) throws IOException {
    Files.writeString(folder.resolve("model.safetensors.index.json"), json);
  }

  private void shard(String file, String... tensors) throws IOException {
    List<TensorView> views =
        List.of(tensors).stream()
            .map(
                name ->
                    new TensorView(
                        name, DType.U8, new long[] {1}, MemorySegment.ofArray(new byte[] {7})))
            .toList();
    SafetensorsWriter.write(folder.resolve(file), views, Map.of());
  }
}
