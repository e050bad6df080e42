package org.ftcluster.worker.model;

import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;

/**
 * The tensors of a model folder, under the names that Transformers gives them in models of text
 * alone.
 */
final class BaseLayout {
  static final String EMBEDDING = "model.embed_tokens.weight";
  static final String FINAL_NORM = "model.norm.weight";
  static final String HEAD = "lm_head.weight";

  // Of a layer, behind its prefix.
  static final String INPUT_NORM = "input_layernorm.weight";

  /** Of models without norms of outputs: the one before the feed-forward. */
  static final String ATTENTION_OUTPUT_NORM = "post_attention_layernorm.weight";

  private static final String PRE_FEED_FORWARD_NORM = "pre_feedforward_layernorm.weight";
  static final String FEED_FORWARD_OUTPUT_NORM = "post_feedforward_layernorm.weight";
  static final String QUERY_NORM = "self_attn.q_norm.weight";
  static final String KEY_NORM = "self_attn.k_norm.weight";

  private static final String OF_LAYERS = ".layers.";
  private static final String LAYERS = "model" + OF_LAYERS;

  private BaseLayout() {}

  static String layer(int index) {
    return LAYERS + index + ".";
  }

  /** The layer that a tensor belongs to, whether of the base or of an adapter; none of others. */
  static OptionalInt layerOf(String name) {
    int at = name.indexOf(OF_LAYERS);
    if (at < 0) {
      return OptionalInt.empty();
    }
    int from = at + OF_LAYERS.length();
    return OptionalInt.of(Integer.parseInt(name, from, name.indexOf('.', from), 10));
  }

  /** The norm before the feed-forward. */
  static String feedForwardNorm(ModelConfig config) {
    return config.outputNorms() ? PRE_FEED_FORWARD_NORM : ATTENTION_OUTPUT_NORM;
  }

  /** Whether a linear layer adds a bias. */
  static boolean hasBias(ModelConfig config, AdapterLayout.Module module) {
    return switch (module.name()) {
      case "q_proj", "k_proj", "v_proj", "qkv_proj" -> config.biases().qkv();
      case "o_proj" -> config.biases().output();
      default -> config.biases().feedForward();
    };
  }

  /**
   * All of them, as trained parameters; each layer, and what is behind the layers, begins a {@link
   * ParameterUnit}.
   *
   * @param tied whether the embedding is the head, too
   */
  static List<ParameterBuffer.Slice> slices(ModelConfig config, boolean tied) {
    Slices slices = new Slices();
    slices.add(EMBEDDING, config.vocabularySize(), config.hiddenSize());
    for (int layer = 0; layer < config.layers(); layer++) {
      String prefix = layer(layer);
      slices.beginUnit();
      slices.add(prefix + INPUT_NORM, config.hiddenSize());
      slices.add(prefix + feedForwardNorm(config), config.hiddenSize());
      if (config.outputNorms()) {
        slices.add(prefix + ATTENTION_OUTPUT_NORM, config.hiddenSize());
        slices.add(prefix + FEED_FORWARD_OUTPUT_NORM, config.hiddenSize());
      }
      if (config.headNorms()) {
        slices.add(prefix + QUERY_NORM, config.headSize());
        slices.add(prefix + KEY_NORM, config.headSize());
      }
      for (AdapterLayout.Module module : AdapterLayout.modules(config)) {
        slices.add(prefix + module.path() + ".weight", module.outputs(), module.inputs());
        if (hasBias(config, module)) {
          slices.add(prefix + module.path() + ".bias", module.outputs());
        }
      }
    }
    slices.beginUnit();
    slices.add(FINAL_NORM, config.hiddenSize());
    if (!tied) {
      slices.add(HEAD, config.vocabularySize(), config.hiddenSize());
    }
    return slices.list;
  }

  private static final class Slices {
    private final List<ParameterBuffer.Slice> list = new ArrayList<>();
    private long offset;

    void beginUnit() {
      offset = Math.ceilDiv(offset, (long) ParameterUnit.BLOCK) * ParameterUnit.BLOCK;
    }

    void add(String name, long... shape) {
      ParameterBuffer.Slice slice = new ParameterBuffer.Slice(name, shape, offset);
      list.add(slice);
      offset += slice.size();
    }
  }
}
