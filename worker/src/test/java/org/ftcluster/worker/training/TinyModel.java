package org.ftcluster.worker.training;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.ftcluster.worker.safetensors.DType;
import org.ftcluster.worker.safetensors.SafetensorsWriter;
import org.ftcluster.worker.safetensors.TensorView;

/** A small base model with random weights, and the sample's tokenizer. */
final class TinyModel {
  private static final Path SAMPLE = Path.of("../deploy/samples/decompile/base");
  private static final int HIDDEN = 64;
  private static final int FEED_FORWARD = 192;
  private static final int LAYERS = 4;
  private static final int HEADS = 4;
  private static final int KEY_VALUE_HEADS = 2;
  private static final int VOCABULARY = 1024;

  private final Path folder;
  private final Family family;
  private final Random random = new Random(1);
  private final List<TensorView> tensors = new ArrayList<>();

  private enum Family {
    LLAMA("LlamaForCausalLM", ""),
    QWEN3("Qwen3ForCausalLM", ", \"attention_bias\": true"),
    PHI3("Phi3ForCausalLM", ", \"partial_rotary_factor\": 0.5"),
    GEMMA2("Gemma2ForCausalLM", ", \"query_pre_attn_scalar\": 16, \"sliding_window\": 24");

    private final String architecture;
    private final String more;

    Family(String architecture, String more) {
      this.architecture = architecture;
      this.more = more;
    }

    /** Whether the embedding is the head. */
    boolean isTied() {
      return this == QWEN3 || this == GEMMA2;
    }
  }

  private TinyModel(Path folder, Family family) {
    this.folder = folder;
    this.family = family;
  }

  /** Llama with grouped heads and a head of its own. */
  static Path llama(Path folder) throws IOException {
    return new TinyModel(folder, Family.LLAMA).write();
  }

  /** Qwen3: biases, norms of heads, and the embedding as the head. */
  static Path qwen3(Path folder) throws IOException {
    return new TinyModel(folder, Family.QWEN3).write();
  }

  /** Phi-3: fused projections, and heads that are rotated in part. */
  static Path phi3(Path folder) throws IOException {
    return new TinyModel(folder, Family.PHI3).write();
  }

  /** Gemma 2: norms of outputs, local layers, and caps of scores and logits. */
  static Path gemma2(Path folder) throws IOException {
    return new TinyModel(folder, Family.GEMMA2).write();
  }

  private Path write() throws IOException {
    Files.createDirectories(folder);
    for (String name : List.of("tokenizer.json", "tokenizer_config.json")) {
      Files.copy(SAMPLE.resolve(name), folder.resolve(name));
    }
    Files.writeString(
        folder.resolve("config.json"),
        """
        {"architectures": ["%s"], "hidden_size": %d, "intermediate_size": %d,
         "num_hidden_layers": %d, "num_attention_heads": %d, "num_key_value_heads": %d,
         "vocab_size": %d, "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "head_dim": %d,
         "tie_word_embeddings": %b, "torch_dtype": "float32", "max_position_embeddings": 1024 %s}
        """
            .formatted(
                family.architecture,
                HIDDEN,
                FEED_FORWARD,
                LAYERS,
                HEADS,
                KEY_VALUE_HEADS,
                VOCABULARY,
                HIDDEN / HEADS,
                family.isTied(),
                family.more));
    try (Arena arena = Arena.ofConfined()) {
      addTensors(arena);
      SafetensorsWriter.write(folder.resolve("model.safetensors"), tensors, Map.of());
    }
    return folder;
  }

  private void addTensors(Arena arena) {
    boolean isQwen = family == Family.QWEN3;
    int keys = HIDDEN / HEADS * KEY_VALUE_HEADS;
    add(arena, "model.embed_tokens.weight", VOCABULARY, HIDDEN);
    for (int layer = 0; layer < LAYERS; layer++) {
      String prefix = "model.layers.%d.".formatted(layer);
      add(arena, prefix + "input_layernorm.weight", HIDDEN);
      add(arena, prefix + "post_attention_layernorm.weight", HIDDEN);
      if (family == Family.GEMMA2) {
        add(arena, prefix + "pre_feedforward_layernorm.weight", HIDDEN);
        add(arena, prefix + "post_feedforward_layernorm.weight", HIDDEN);
      }
      if (isQwen) {
        add(arena, prefix + "self_attn.q_norm.weight", HIDDEN / HEADS);
        add(arena, prefix + "self_attn.k_norm.weight", HIDDEN / HEADS);
      }
      if (family == Family.PHI3) {
        addLinear(arena, prefix + "self_attn.qkv_proj", HIDDEN + 2 * keys, HIDDEN, false);
      } else {
        addLinear(arena, prefix + "self_attn.q_proj", HIDDEN, HIDDEN, isQwen);
        addLinear(arena, prefix + "self_attn.k_proj", keys, HIDDEN, isQwen);
        addLinear(arena, prefix + "self_attn.v_proj", keys, HIDDEN, isQwen);
      }
      addLinear(arena, prefix + "self_attn.o_proj", HIDDEN, HIDDEN, isQwen);
      if (family == Family.PHI3) {
        addLinear(arena, prefix + "mlp.gate_up_proj", 2 * FEED_FORWARD, HIDDEN, false);
      } else {
        addLinear(arena, prefix + "mlp.gate_proj", FEED_FORWARD, HIDDEN, false);
        addLinear(arena, prefix + "mlp.up_proj", FEED_FORWARD, HIDDEN, false);
      }
      addLinear(arena, prefix + "mlp.down_proj", HIDDEN, FEED_FORWARD, false);
    }
    add(arena, "model.norm.weight", HIDDEN);
    if (!family.isTied()) {
      add(arena, "lm_head.weight", VOCABULARY, HIDDEN);
    }
  }

  private void addLinear(Arena arena, String name, int outputs, int inputs, boolean bias) {
    add(arena, name + ".weight", outputs, inputs);
    if (bias) {
      add(arena, name + ".bias", outputs);
    }
  }

  /** Matrices near 0, vectors near 1. */
  private void add(Arena arena, String name, long... shape) {
    long size = shape.length == 1 ? shape[0] : shape[0] * shape[1];
    MemorySegment data = arena.allocate(size * Float.BYTES, 64);
    for (long i = 0; i < size; i++) {
      double value = random.nextGaussian() * 0.08 + (shape.length == 1 ? 1 : 0);
      data.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) value);
    }
    tensors.add(new TensorView(name, DType.F32, shape, data));
  }
}
