package org.ftcluster.worker.safetensors;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;

/**
 * The weights of a Hugging Face model folder: {@code model.safetensors}, or the shards that {@code
 * model.safetensors.index.json} names.
 */
public final class SafetensorsFolder implements TensorSource {
  private static final String SINGLE = "model.safetensors";

  /** Says which file has which tensor, where there are several. */
  public static final String INDEX = "model.safetensors.index.json";

  private static final JsonMapper JSON =
      JsonMapper.builder().enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION).build();

  private final Path path;
  private final Collection<SafetensorsFile> files;
  private final Map<String, SafetensorsFile> byName;

  private SafetensorsFolder(
      Path path, Collection<SafetensorsFile> files, Map<String, SafetensorsFile> byName) {
    this.path = path;
    this.files = files;
    this.byName = byName;
  }

  /**
   * Maps all weight files of a model folder.
   *
   * @throws SafetensorsException when there are none, or one can't be used
   */
  public static SafetensorsFolder open(Path folder) {
    Map<String, SafetensorsFile> shards = new LinkedHashMap<>();
    try {
      Map<String, SafetensorsFile> byName = new LinkedHashMap<>();
      if (Files.exists(folder.resolve(SINGLE))) {
        SafetensorsFile file = SafetensorsFile.open(folder.resolve(SINGLE));
        shards.put(SINGLE, file);
        file.names().forEach(name -> byName.put(name, file));
      } else if (Files.exists(folder.resolve(INDEX))) {
        openShards(folder, shards, byName);
      } else {
        throw new SafetensorsException(noWeights(folder));
      }
      return new SafetensorsFolder(folder, shards.values(), byName);
    } catch (RuntimeException e) {
      shards.values().forEach(SafetensorsFile::close);
      throw e;
    }
  }

  private static void openShards(
      Path folder, Map<String, SafetensorsFile> shards, Map<String, SafetensorsFile> byName) {
    Path index = folder.resolve(INDEX);
    JsonNode weightMap = readIndex(index).path("weight_map");
    if (!weightMap.isObject() || weightMap.isEmpty()) {
      throw new SafetensorsException("%s: has no weight_map.".formatted(index));
    }
    for (Map.Entry<String, JsonNode> weight : weightMap.properties()) {
      String shard = weight.getValue().asText();
      // A shard's name comes from a file that anyone may have written: it must not lead elsewhere.
      if (!weight.getValue().isTextual() || !shard.matches("[\\w][\\w.-]*\\.safetensors")) {
        throw new SafetensorsException(
            "%s: names %s as the file of %s, but a shard is a plain file name that ends in"
                    .formatted(index, weight.getValue(), weight.getKey())
                + " .safetensors.");
      }
      SafetensorsFile file =
          shards.computeIfAbsent(shard, name -> SafetensorsFile.open(folder.resolve(name)));
      if (!file.contains(weight.getKey())) {
        throw new SafetensorsException(
            "%s: says that %s holds tensor %s, but it doesn't."
                .formatted(index, shard, weight.getKey()));
      }
      byName.put(weight.getKey(), file);
    }
  }

  private static JsonNode readIndex(Path index) {
    try {
      return JSON.readTree(Files.readAllBytes(index));
    } catch (JsonProcessingException e) {
      throw new SafetensorsException(
          "%s: is not valid JSON: %s.".formatted(index, e.getOriginalMessage()), e);
    } catch (IOException e) {
      throw new SafetensorsException("%s: can't be read: %s.".formatted(index, e.getMessage()), e);
    }
  }

  private static String noWeights(Path folder) {
    String sentence =
        "%s: holds no weights: neither %s nor %s is there".formatted(folder, SINGLE, INDEX);
    if (Files.exists(folder.resolve("pytorch_model.bin"))
        || Files.exists(folder.resolve("pytorch_model.bin.index.json"))) {
      return sentence + ", and pytorch_model.bin is not read; convert it to safetensors.";
    }
    return sentence + ".";
  }

  @Override
  public Set<String> names() {
    return Collections.unmodifiableSet(byName.keySet());
  }

  /** The names of each file's tensors. */
  public Map<Path, List<String>> namesByFile() {
    return byName.entrySet().stream()
        .collect(
            Collectors.groupingBy(
                entry -> entry.getValue().path(),
                TreeMap::new,
                Collectors.mapping(Map.Entry::getKey, Collectors.toList())));
  }

  @Override
  public TensorView get(String name) {
    SafetensorsFile file = byName.get(name);
    if (file == null) {
      throw new SafetensorsException("%s: its weights have no tensor %s.".formatted(path, name));
    }
    return file.get(name);
  }

  @Override
  public void close() {
    files.forEach(SafetensorsFile::close);
  }
}
