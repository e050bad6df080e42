package org.ftcluster.worker.model;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.worker.model.ModelConfig.Architecture;
import org.ftcluster.worker.model.ModelConfig.RopeScaling;
import org.jspecify.annotations.Nullable;

/** Reads {@code config.json} as Transformers 4 and 5 write it. */
public final class ModelConfigReader {
  private static final JsonMapper JSON = new JsonMapper();

  /** Elements of a head of Qwen3's where the file doesn't say. */
  private static final int QWEN3_HEAD = 128;

  private final Path file;
  private final JsonNode root;

  private ModelConfigReader(Path file, JsonNode root) {
    this.file = file;
    this.root = root;
  }

  /**
   * @param path a model folder, or a {@code config.json}
   * @throws BadJobException when the file is missing, broken, or of a model that isn't supported
   */
  public static ModelConfig read(Path path) {
    Path file = Files.isDirectory(path) ? path.resolve("config.json") : path;
    if (!Files.isRegularFile(file)) {
      throw new BadJobException(
          file
              + ": no such file; a model folder as Transformers' save_pretrained writes it has one");
    }
    try {
      return new ModelConfigReader(file, JSON.readTree(file.toFile())).config();
    } catch (JsonProcessingException e) {
      throw new BadJobException("%s is not JSON: %s".formatted(file, e.getOriginalMessage()), e);
    } catch (IOException e) {
      throw new BadJobException("%s can't be read: %s".formatted(file, e.getMessage()), e);
    }
  }

  private ModelConfig config() {
    Architecture architecture = architecture();
    requireSilu();
    int hidden = integer("hidden_size");
    int heads = integer("num_attention_heads");
    int keyValueHeads = integer("num_key_value_heads", heads);
    if (heads % keyValueHeads != 0) {
      throw bad(
          "num_attention_heads %d is no multiple of num_key_value_heads %d"
              .formatted(heads, keyValueHeads));
    }
    int headSize =
        integer("head_dim", architecture == Architecture.QWEN3 ? QWEN3_HEAD : hidden / heads);
    if (headSize % 2 != 0) {
      throw bad("head_dim %d is odd, rotary embedding needs an even one".formatted(headSize));
    }
    int rotarySize = rotarySize(architecture, headSize);
    boolean attentionBias = root.path("attention_bias").asBoolean(false);
    return new ModelConfig(
        architecture,
        hidden,
        integer("intermediate_size"),
        integer("num_hidden_layers"),
        heads,
        keyValueHeads,
        headSize,
        integer("vocab_size"),
        root.path("rms_norm_eps").asDouble(1e-6),
        ropeParameters().path("rope_theta").asDouble(root.path("rope_theta").asDouble(10_000)),
        rotarySize,
        ropeScaling(rotarySize / 2),
        slidingWindow(architecture),
        architecture == Architecture.QWEN2 || attentionBias,
        architecture != Architecture.QWEN2 && attentionBias,
        root.path("mlp_bias").asBoolean(false),
        architecture == Architecture.QWEN3,
        root.path("tie_word_embeddings").asBoolean(false));
  }

  private Architecture architecture() {
    String name = root.path("architectures").path(0).asText("");
    for (Architecture architecture : Architecture.values()) {
      if (architecture.className().equals(name)) {
        return architecture;
      }
    }
    String supported =
        Arrays.stream(Architecture.values())
            .map(Architecture::className)
            .collect(Collectors.joining(", "));
    throw bad(
        "the architecture %s is not supported; supported are: %s"
            .formatted(name.isEmpty() ? "(none is named)" : name, supported));
  }

  private void requireSilu() {
    String activation = root.path("hidden_act").asText("silu");
    if (!activation.equals("silu")) {
      throw bad("hidden_act %s is not supported, only silu".formatted(activation));
    }
  }

  private int slidingWindow(Architecture architecture) {
    JsonNode window = root.path("sliding_window");
    return switch (architecture) {
      case LLAMA -> 0;
      case PHI3 -> window.asInt(0);
      case MISTRAL -> window.isMissingNode() ? 4096 : window.asInt(0);
      case QWEN2, QWEN3 -> {
        if (someLayerSlides()) {
          throw bad(
              "some layers have a sliding window, which is not supported for Qwen; only full attention is");
        }
        yield 0;
      }
    };
  }

  /** Of Qwen's: those named, or else those from a certain one on. */
  private boolean someLayerSlides() {
    if (root.path("layer_types").isArray()) {
      return root.path("layer_types")
          .valueStream()
          .anyMatch(type -> type.asText().equals("sliding_attention"));
    }
    return root.path("use_sliding_window").asBoolean(false)
        && !root.path("sliding_window").isNull()
        && root.path("max_window_layers").asInt(28) < integer("num_hidden_layers");
  }

  /** Transformers 5 has one object for all that is rotary, Transformers 4 only for the scaling. */
  private JsonNode ropeParameters() {
    JsonNode parameters = root.path("rope_parameters");
    return parameters.isObject() ? parameters : root.path("rope_scaling");
  }

  /** Transformers 5 has the factor beside what else is rotary, Transformers 4 outside. */
  private int rotarySize(Architecture architecture, int headSize) {
    if (architecture != Architecture.PHI3) {
      return headSize;
    }
    double factor =
        ropeParameters()
            .path("partial_rotary_factor")
            .asDouble(root.path("partial_rotary_factor").asDouble(1));
    int size = (int) (headSize * factor);
    if (size <= 0 || size > headSize || size % 2 != 0) {
      throw bad(
          "partial_rotary_factor %s of head_dim %d is %d elements, which must be an even number of at most as many"
              .formatted(factor, headSize, size));
    }
    return size;
  }

  /**
   * @param frequencies of which a scaling by single factors must have as many
   */
  private @Nullable RopeScaling ropeScaling(int frequencies) {
    JsonNode scaling = ropeParameters();
    String type = scaling.path("rope_type").asText(scaling.path("type").asText("default"));
    return switch (type) {
      case "default" -> null;
      case "linear" -> new RopeScaling.Linear(number(scaling, "factor"));
      case "llama3" ->
          new RopeScaling.Llama3(
              number(scaling, "factor"),
              number(scaling, "low_freq_factor"),
              number(scaling, "high_freq_factor"),
              (int) number(scaling, "original_max_position_embeddings"));
      case "longrope", "su" -> longRope(scaling, frequencies);
      default ->
          throw bad(
              "rotary scaling of type %s is not supported; supported are: default, linear, llama3, longrope"
                  .formatted(type));
    };
  }

  /** As {@code _compute_longrope_parameters} of Transformers, for short sequences. */
  private RopeScaling longRope(JsonNode scaling, int frequencies) {
    List<Double> factors =
        scaling.path("short_factor").valueStream().map(JsonNode::asDouble).toList();
    if (factors.size() != frequencies || factors.stream().anyMatch(factor -> factor <= 0)) {
      throw bad(
          "the rotary scaling's short_factor must be %d positive numbers, not %s"
              .formatted(frequencies, scaling.path("short_factor")));
    }
    int original =
        scaling.path("original_max_position_embeddings").isNumber()
            ? (int) number(scaling, "original_max_position_embeddings")
            : integer("original_max_position_embeddings");
    double growth =
        scaling.path("factor").asDouble((double) integer("max_position_embeddings") / original);
    double magnitude = growth <= 1 ? 1 : Math.sqrt(1 + Math.log(growth) / Math.log(original));
    return new RopeScaling.LongRope(
        factors, scaling.path("attention_factor").asDouble(magnitude), original);
  }

  private double number(JsonNode object, String key) {
    if (!object.path(key).isNumber()) {
      throw bad("the rotary scaling has no number %s".formatted(key));
    }
    return object.path(key).asDouble();
  }

  private int integer(String key) {
    if (!root.path(key).isInt() || root.path(key).asInt() <= 0) {
      throw bad("%s must be a positive whole number, not %s".formatted(key, root.path(key)));
    }
    return root.path(key).asInt();
  }

  private int integer(String key, int absent) {
    return root.path(key).isMissingNode() || root.path(key).isNull() ? absent : integer(key);
  }

  private BadJobException bad(String problem) {
    return new BadJobException(file + ": " + problem);
  }
}
