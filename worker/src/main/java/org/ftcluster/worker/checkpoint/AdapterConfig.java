package org.ftcluster.worker.checkpoint;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.ftcluster.protocol.file.DurableFiles;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.protocol.job.JobSpec.Adapter;
import org.ftcluster.protocol.job.JobSpec.AdapterType;

/** {@code adapter_config.json}, between PEFT's names and a job's. */
final class AdapterConfig {
  static final String FILE = "adapter_config.json";

  /** Where PEFT finds the language model in a model that has other parts. */
  static final String LANGUAGE_MODEL = "model.language_model.";

  /** PEFT features that change what an adapter computes, and that this project doesn't have. */
  private static final List<String> UNSUPPORTED =
      List.of("use_dora", "modules_to_save", "rank_pattern", "alpha_pattern", "fan_in_fan_out");

  private static final JsonMapper JSON = new JsonMapper();

  private AdapterConfig() {}

  /**
   * Writes the file.
   *
   * @param targetModules names of layers, no shorthand
   * @param ofPart whether layers of those names outside the language model have no adapter
   * @param baseModel where the base model's folder is
   */
  static void write(
      Path folder, Adapter adapter, List<String> targetModules, boolean ofPart, Path baseModel)
      throws IOException {
    ObjectNode root = JSON.createObjectNode();
    root.putNull("auto_mapping");
    root.put("base_model_name_or_path", baseModel.toString());
    root.put("bias", "none");
    if (ofPart) {
      root.put("exclude_modules", "(?!%s).*".formatted(LANGUAGE_MODEL.replace(".", "\\.")));
    }
    root.put("fan_in_fan_out", false);
    root.put("inference_mode", true);
    root.put("init_lora_weights", true);
    root.put("lora_alpha", adapter.loraAlpha());
    root.put("lora_dropout", adapter.loraDropout());
    root.putNull("modules_to_save");
    root.put("peft_type", "LORA");
    root.put("r", adapter.r());
    root.putNull("revision");
    targetModules.forEach(root.putArray("target_modules")::add);
    root.put("task_type", "CAUSAL_LM");
    root.put("use_dora", false);
    root.put("use_rslora", adapter.useRslora());
    DurableFiles.write(
        folder.resolve(FILE),
        JSON.writerWithDefaultPrettyPrinter().writeValueAsString(root) + "\n");
  }

  /**
   * Reads the file.
   *
   * @throws BadJobException when it is missing or unreadable, or the adapter is of another kind
   */
  static Adapter read(Path folder) {
    Path file = folder.resolve(FILE);
    JsonNode root = parse(file);
    if (!root.path("peft_type").asText().equals("LORA")) {
      throw new BadJobException(
          "%s: peft_type is %s, but only LORA is supported."
              .formatted(file, root.path("peft_type")));
    }
    for (String key : UNSUPPORTED) {
      JsonNode value = root.path(key);
      if (value.asBoolean() || (value.isContainerNode() && !value.isEmpty())) {
        throw new BadJobException(
            "%s: %s is %s, which is not supported.".formatted(file, key, value));
      }
    }
    String bias = root.path("bias").asText("none");
    if (!bias.equals("none")) {
      throw new BadJobException(
          "%s: bias is %s, but only none is supported.".formatted(file, bias));
    }
    return new Adapter(
        AdapterType.LORA,
        positive(file, root, "r"),
        positive(file, root, "lora_alpha"),
        root.path("lora_dropout").asDouble(),
        targetModules(file, root.path("target_modules")),
        root.path("use_rslora").asBoolean(),
        null);
  }

  private static JsonNode parse(Path file) {
    try {
      return JSON.readTree(Files.readAllBytes(file));
    } catch (NoSuchFileException e) {
      throw new BadJobException(
          "%s: there is no such file; an adapter folder holds one, and %s."
              .formatted(file, PeftAdapter.WEIGHTS),
          e);
    } catch (JsonProcessingException e) {
      throw new BadJobException(
          "%s: is not valid JSON: %s.".formatted(file, e.getOriginalMessage()), e);
    } catch (IOException e) {
      throw new BadJobException("%s: can't be read: %s.".formatted(file, e), e);
    }
  }

  private static int positive(Path file, JsonNode root, String key) {
    JsonNode value = root.path(key);
    if (!value.isNumber() || value.asInt() < 1 || value.asInt() != value.asDouble()) {
      throw new BadJobException(
          "%s: %s is %s, but a positive whole number belongs there."
              .formatted(file, key, value.isMissingNode() ? "missing" : value));
    }
    return value.asInt();
  }

  private static List<String> targetModules(Path file, JsonNode node) {
    if (node.isTextual()) {
      return List.of(node.asText());
    }
    List<String> names = new ArrayList<>();
    node.forEach(name -> names.add(name.asText()));
    if (names.isEmpty()) {
      throw new BadJobException("%s: target_modules names no layer.".formatted(file));
    }
    return List.copyOf(names);
  }
}
