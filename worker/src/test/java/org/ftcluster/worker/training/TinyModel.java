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
  private final boolean isQwen;
  private final Random random = new Random(1);
  private final List<TensorView> tensors = new ArrayList<>();

  private TinyModel(Path folder, boolean isQwen) {
    this.folder = folder;
    this.isQwen = isQwen;
  }

  /** Llama with grouped heads and a head of its own. */
  static Path llama(Path folder) throws IOException {
    return new TinyModel(folder, false).write();
  }

  /** Qwen3: biases, norms of heads, and the embedding as the head. */
  static Path qwen3(Path folder) throws IOException {
    return new TinyModel(folder, true).write();
  }

  private Path write() throws IOException {
    Files.createDirectories(folder);
    for (String name : List.of("tokenizer.json", "tokenizer_config.json")) {
      Files.copy(SAMPLE.resolve(name), folder.resolve(name));
    }
    Files.writeString(
        folder.resolve("config.json"),
        """
        {"architectures": ["%s"], "model_type": "%s", "hidden_size": %d, "intermediate_size": %d,
         "num_hidden_layers": %d, "num_attention_heads": %d, "num_key_value_heads": %d,
         "vocab_size": %d, "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "hidden_act": "silu",
         "head_dim": %d, "attention_bias": %b, "tie_word_embeddings": %b, "torch_dtype": "float32", "max_position_embeddings": 1024}
        """
            .formatted(
                isQwen ? "Qwen3ForCausalLM" : "LlamaForCausalLM",
                isQwen ? "qwen3" : "llama",
                HIDDEN,
                FEED_FORWARD,
                LAYERS,
                HEADS,
                KEY_VALUE_HEADS,
                VOCABULARY,
                HIDDEN / HEADS,
                isQwen,
                isQwen));
    try (Arena arena = Arena.ofConfined()) {
      addTensors(arena);
      SafetensorsWriter.write(folder.resolve("model.safetensors"), tensors, Map.of());
    }
    return folder;
  }

  private void addTensors(Arena arena) {
    int keys = HIDDEN / HEADS * KEY_VALUE_HEADS;
    add(arena, "model.embed_tokens.weight", VOCABULARY, HIDDEN);
    for (int layer = 0; layer < LAYERS; layer++) {
      String prefix = "model.layers.%d.".formatted(layer);
      add(arena, prefix + "input_layernorm.weight", HIDDEN);
      add(arena, prefix + "post_attention_layernorm.weight", HIDDEN);
      if (isQwen) {
        add(arena, prefix + "self_attn.q_norm.weight", HIDDEN / HEADS);
        add(arena, prefix + "self_attn.k_norm.weight", HIDDEN / HEADS);
      }
      addLinear(arena, prefix + "self_attn.q_proj", HIDDEN, HIDDEN, isQwen);
      addLinear(arena, prefix + "self_attn.k_proj", keys, HIDDEN, isQwen);
      addLinear(arena, prefix + "self_attn.v_proj", keys, HIDDEN, isQwen);
      addLinear(arena, prefix + "self_attn.o_proj", HIDDEN, HIDDEN, isQwen);
      addLinear(arena, prefix + "mlp.gate_proj", FEED_FORWARD, HIDDEN, false);
      addLinear(arena, prefix + "mlp.up_proj", FEED_FORWARD, HIDDEN, false);
      addLinear(arena, prefix + "mlp.down_proj", HIDDEN, FEED_FORWARD, false);
    }
    add(arena, "model.norm.weight", HIDDEN);
    if (!isQwen) {
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
