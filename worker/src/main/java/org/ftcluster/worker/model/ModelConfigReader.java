package org.ftcluster.worker.model;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.function.IntPredicate;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.worker.model.ModelConfig.Architecture;
import org.ftcluster.worker.model.ModelConfig.Biases;
import org.ftcluster.worker.model.ModelConfig.LocalLayers;
import org.ftcluster.worker.model.ModelConfig.RopeScaling;
import org.ftcluster.worker.model.ModelConfig.Rotary;
import org.ftcluster.worker.tensor.kernel.Scores;
import org.jspecify.annotations.Nullable;

/** Reads {@code config.json} as Transformers 4 and 5 write it. */
public final class ModelConfigReader {
  private static final JsonMapper JSON = new JsonMapper();

  // What Transformers takes where the file doesn't say.
  private static final int QWEN3_HEAD = 128;
  private static final int GEMMA_HEAD = 256;
  private static final int GEMMA3_HEADS = 8;
  private static final int GEMMA3_KEY_VALUE_HEADS = 4;
  private static final int GEMMA3_VOCABULARY = 262_208;
  private static final int GEMMA3_PATTERN = 6;
  private static final int USUAL_WINDOW = 4096;

  private final Path file;
  private final JsonNode whole;

  /** Of the language model: a part of the whole where that has others. */
  private final JsonNode root;

  private ModelConfigReader(Path file, JsonNode whole) {
    this.file = file;
    this.whole = whole;
    this.root = whole.path("text_config").isObject() ? whole.path("text_config") : whole;
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
    boolean isGemma = architecture.isGemma();
    requireActivation(isGemma);
    if (root.path("use_bidirectional_attention").asBoolean(false)) {
      throw bad("use_bidirectional_attention is not supported, only causal attention");
    }
    int hidden = integer("hidden_size");
    boolean isGemma3 = architecture.isGemma3();
    int heads =
        isGemma3 ? integer("num_attention_heads", GEMMA3_HEADS) : integer("num_attention_heads");
    int keyValueHeads = integer("num_key_value_heads", isGemma3 ? GEMMA3_KEY_VALUE_HEADS : heads);
    if (heads % keyValueHeads != 0) {
      throw bad(
          "num_attention_heads %d is no multiple of num_key_value_heads %d"
              .formatted(heads, keyValueHeads));
    }
    int headSize = integer("head_dim", usualHeadSize(architecture, hidden / heads));
    if (headSize % 2 != 0) {
      throw bad("head_dim %d is odd, rotary embedding needs an even one".formatted(headSize));
    }
    Rotary rotary = rotary(architecture, headSize);
    return new ModelConfig(
        architecture,
        hidden,
        integer("intermediate_size"),
        integer("num_hidden_layers"),
        heads,
        keyValueHeads,
        headSize,
        isGemma3 ? integer("vocab_size", GEMMA3_VOCABULARY) : integer("vocab_size"),
        root.path("rms_norm_eps").asDouble(architecture == Architecture.PHI3 ? 1e-5 : 1e-6),
        scores(architecture, headSize),
        logitCap(architecture),
        rotary,
        slidingWindow(architecture),
        localLayers(architecture, rotary),
        biases(architecture),
        architecture == Architecture.QWEN3 || isGemma3,
        whole.path("tie_word_embeddings").asBoolean(isGemma));
  }

  private Scores scores(Architecture architecture, int headSize) {
    int size = architecture.isGemma() ? integer("query_pre_attn_scalar", GEMMA_HEAD) : headSize;
    double cap = architecture == Architecture.GEMMA2 ? cap("attn_logit_softcapping", 50) : 0;
    return new Scores(1 / Math.sqrt(size), cap);
  }

  /** Transformers caps none of a model that sees, too, whatever its file says. */
  private double logitCap(Architecture architecture) {
    return switch (architecture) {
      case GEMMA2 -> cap("final_logit_softcapping", 30);
      case GEMMA3 -> cap("final_logit_softcapping", 0);
      case LLAMA, MISTRAL, QWEN2, QWEN3, PHI3, GEMMA3_OF_VISION -> 0;
    };
  }

  /** 0 for none. */
  private double cap(String key, double absent) {
    JsonNode cap = root.path(key);
    if (cap.isNull() || cap.isMissingNode()) {
      return cap.isNull() ? 0 : absent;
    }
    if (!cap.isNumber() || cap.asDouble() <= 0) {
      throw bad("%s must be a positive number or null, not %s".formatted(key, cap));
    }
    return cap.asDouble();
  }

  private static int usualHeadSize(Architecture architecture, int share) {
    return switch (architecture) {
      case LLAMA, MISTRAL, QWEN2, PHI3 -> share;
      case QWEN3 -> QWEN3_HEAD;
      case GEMMA2, GEMMA3, GEMMA3_OF_VISION -> GEMMA_HEAD;
    };
  }

  private Biases biases(Architecture architecture) {
    boolean attention = root.path("attention_bias").asBoolean(false);
    return switch (architecture) {
      case LLAMA -> new Biases(attention, attention, root.path("mlp_bias").asBoolean(false));
      case QWEN3, GEMMA2, GEMMA3, GEMMA3_OF_VISION -> new Biases(attention, attention, false);
      case QWEN2 -> new Biases(true, false, false);
      case MISTRAL, PHI3 -> new Biases(false, false, false);
    };
  }

  private Architecture architecture() {
    String name = whole.path("architectures").path(0).asText("");
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

  private void requireActivation(boolean isGemma) {
    String key = isGemma ? "hidden_activation" : "hidden_act";
    String supported = isGemma ? "gelu_pytorch_tanh" : "silu";
    String activation = root.path(key).asText(supported);
    if (!activation.equals(supported)) {
      throw bad("%s %s is not supported, only %s".formatted(key, activation, supported));
    }
  }

  /** Of layers that aren't local. */
  private int slidingWindow(Architecture architecture) {
    return switch (architecture) {
      case LLAMA, QWEN2, QWEN3, GEMMA2, GEMMA3, GEMMA3_OF_VISION -> 0;
      case PHI3 -> window(0);
      case MISTRAL -> window(USUAL_WINDOW);
    };
  }

  private int window(int absent) {
    return root.path("sliding_window").isNull() ? 0 : integer("sliding_window", absent);
  }

  private @Nullable LocalLayers localLayers(Architecture architecture, Rotary rotary) {
    return switch (architecture) {
      case LLAMA, MISTRAL, PHI3 -> null;
      case QWEN2, QWEN3 -> {
        int first = root.path("max_window_layers").asInt(28);
        boolean slides =
            root.path("use_sliding_window").asBoolean(false) && window(USUAL_WINDOW) > 0;
        yield slides ? localLayers(rotary, layer -> layer >= first) : null;
      }
      case GEMMA2 -> localLayers(rotary, layer -> layer % 2 == 0);
      case GEMMA3, GEMMA3_OF_VISION -> {
        int pattern = integer("sliding_window_pattern", GEMMA3_PATTERN);
        Rotary own =
            rotary(
                root.path("rope_parameters").path("sliding_attention"),
                root.path("rope_local_base_freq").asDouble(10_000),
                rotary.size());
        yield localLayers(own, layer -> (layer + 1) % pattern != 0);
      }
    };
  }

  /**
   * @param usual which layers are local where the file doesn't say
   */
  private @Nullable LocalLayers localLayers(Rotary rotary, IntPredicate usual) {
    int layers = integer("num_hidden_layers");
    JsonNode types = root.path("layer_types");
    List<Boolean> are =
        types.isArray()
            ? types.valueStream().map(this::isLocal).toList()
            : IntStream.range(0, layers).mapToObj(usual::test).toList();
    if (!are.contains(true)) {
      return null;
    }
    if (are.size() != layers) {
      throw bad("%d layer_types, but num_hidden_layers is %d".formatted(are.size(), layers));
    }
    return new LocalLayers(are, rotary, window(USUAL_WINDOW));
  }

  private boolean isLocal(JsonNode type) {
    return switch (type.asText()) {
      case "sliding_attention" -> true;
      case "full_attention" -> false;
      default ->
          throw bad(
              "layers of type %s are not supported; supported are: full_attention, sliding_attention"
                  .formatted(type));
    };
  }

  /** Transformers 5 has one object for all that is rotary, Transformers 4 only for the scaling. */
  private JsonNode ropeParameters() {
    JsonNode parameters = root.path("rope_parameters");
    if (!parameters.isObject()) {
      return root.path("rope_scaling");
    }
    // By kinds of layers, where they have parameters of their own.
    return parameters.path("full_attention").isObject()
        ? parameters.path("full_attention")
        : parameters;
  }

  /** Of layers that aren't local. */
  private Rotary rotary(Architecture architecture, int headSize) {
    double usual = architecture.isGemma3() ? 1_000_000 : 10_000;
    return rotary(
        ropeParameters(),
        root.path("rope_theta").asDouble(usual),
        rotarySize(architecture, headSize));
  }

  /**
   * @param theta where the parameters don't say
   */
  private Rotary rotary(JsonNode parameters, double theta, int size) {
    return new Rotary(
        parameters.path("rope_theta").asDouble(theta), size, ropeScaling(parameters, size / 2));
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
  private @Nullable RopeScaling ropeScaling(JsonNode scaling, int frequencies) {
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
