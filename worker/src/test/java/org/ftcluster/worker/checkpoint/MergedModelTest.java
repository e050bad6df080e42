package org.ftcluster.worker.checkpoint;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.worker.safetensors.DType;
import org.ftcluster.worker.safetensors.SafetensorsFolder;
import org.ftcluster.worker.safetensors.SafetensorsWriter;
import org.ftcluster.worker.safetensors.TensorView;
import org.ftcluster.worker.tensor.SplitMix64;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Files alone: what models then compute is {@code GoldenCasesTest}'s matter. */
class MergedModelTest {
  private static final String LAYER = "model.layers.0.self_attn.q_proj";

  /** Of two pieces and a part of one. */
  private static final int ROWS = (int) (2 * MergedModel.PIECE / 1024) + 7;

  private static final int COLUMNS = 1024;
  private static final int R = 2;

  @TempDir private Path root;
  private Path base;
  private Path adapter;
  private Path merged;
  private final SplitMix64 random = new SplitMix64(5);

  @BeforeEach
  void folders() throws IOException {
    base = Files.createDirectory(root.resolve("base"));
    adapter = Files.createDirectory(root.resolve("adapter"));
    merged = root.resolve("merged");
    Files.writeString(base.resolve("config.json"), "{}");
    Files.writeString(base.resolve("tokenizer.json"), "tokens");
  }

  @ParameterizedTest
  @EnumSource(names = {"F32", "BF16", "F16"})
  void aWeightIsRoundedOnceFromTheSumInFloat32(DType type) throws IOException {
    TensorView weight = tensor(LAYER + ".weight", type, ROWS, COLUMNS);
    TensorView a = tensor("base_model.model." + LAYER + ".lora_A.weight", DType.F32, R, COLUMNS);
    TensorView b = tensor("base_model.model." + LAYER + ".lora_B.weight", DType.F32, ROWS, R);
    write("model.safetensors", weight);
    writeAdapter(a, b);

    assertEquals(1, MergedModel.write(merged, base, adapter, 2));

    try (SafetensorsFolder result = SafetensorsFolder.open(merged)) {
      TensorView sum = result.get(LAYER + ".weight");
      assertEquals(type, sum.dtype());
      for (int i = 0; i < ROWS * COLUMNS; i += 97) {
        double delta = 0;
        for (int r = 0; r < R; r++) {
          delta += value(b, (long) i / COLUMNS * R + r) * value(a, r * COLUMNS + i % COLUMNS);
        }
        double expected = value(weight, i) + 3 * delta;
        double rounding =
            switch (type) {
              case BF16 -> 0x1p-8 * Math.abs(expected);
              case F16 -> 0x1p-11 * Math.abs(expected);
              default -> 0;
            };
        // Terms of up to 7 are added up in float32.
        assertEquals(expected, value(sum, i), rounding + 0x1p-20);
      }
    }
  }

  @Test
  void allElseStaysAsItIs() throws IOException {
    TensorView other = tensor("model.embed_tokens.weight", DType.BF16, 8, 4);
    TensorView weight = tensor(LAYER + ".weight", DType.BF16, 4, 4);
    write("model-1.safetensors", other);
    write("model-2.safetensors", weight);
    String index =
        """
        {"weight_map": {"%s": "model-1.safetensors", "%s": "model-2.safetensors"}}
        """
            .formatted(other.name(), weight.name());
    Files.writeString(base.resolve("model.safetensors.index.json"), index);
    writeAdapter(lora("A", R, 4), lora("B", 4, R));

    MergedModel.write(merged, base, adapter, 1);

    try (Stream<Path> files = Files.list(merged)) {
      assertEquals(
          List.of(
              "config.json",
              "model-1.safetensors",
              "model-2.safetensors",
              "model.safetensors.index.json",
              "tokenizer.json"),
          files.map(file -> file.getFileName().toString()).sorted().toList());
    }
    assertEquals(index, Files.readString(merged.resolve("model.safetensors.index.json")));
    assertEquals(-1, Files.mismatch(file(base, 1), file(merged, 1)));
    assertTrue(Files.mismatch(file(base, 2), file(merged, 2)) >= 0);
  }

  private static Path file(Path folder, int number) {
    return folder.resolve("model-%d.safetensors".formatted(number));
  }

  /** A language model of one that sees, which two versions of Transformers call two names. */
  @Test
  void bothNamesOfALanguageModelAreFound() throws IOException {
    for (String name :
        List.of("model.language_model.layers.0.x", "language_model.model.layers.0.x")) {
      write("model.safetensors", tensor(name + ".weight", DType.F32, 4, 4));
      for (String theirs :
          List.of("model.language_model.layers.0.x", "language_model.model.layers.0.x")) {
        writeAdapter(
            tensor("base_model.model." + theirs + ".lora_A.weight", DType.F32, R, 4),
            tensor("base_model.model." + theirs + ".lora_B.weight", DType.F32, 4, R));
        assertEquals(1, MergedModel.write(merged, base, adapter, 1));
      }
    }
  }

  @Test
  void whatDoesNotFitIsNamed() throws IOException {
    write("model.safetensors", tensor(LAYER + ".weight", DType.F32, 4, 4));
    writeAdapter(lora("A", R, 6), lora("B", 4, R));
    assertRefused("lora_A.weight [2, 6] and lora_B [4, 2] don't fit the base model's");
    writeAdapter(lora("A", R, 4), lora("B", 4, R + 1));
    assertRefused("lora_B [4, 3] don't fit");
    writeAdapter(lora("B", 4, R));
    assertRefused(LAYER + " has no lora_A");
    writeAdapter(lora("A", R, 4));
    assertRefused("lora_B.weight");
    writeAdapter(tensor("base_model.model.lm_head.lora_embedding_A", DType.F32, R, 4));
    assertRefused("lora_embedding_A is none of a linear layer's adapter");
    writeAdapter(
        tensor("base_model.model.lm_head.lora_A.weight", DType.F32, R, 4),
        tensor("base_model.model.lm_head.lora_B.weight", DType.F32, 4, R));
    assertRefused("has no tensor lm_head.weight, which the adapter is for");
    write("model.safetensors", tensor(LAYER + ".weight", DType.I32, 4, 4));
    writeAdapter(lora("A", R, 4), lora("B", 4, R));
    assertRefused("is of type I32; only F32, F16 and BF16 can be merged");
    assertFalse(Files.exists(merged));
  }

  private void assertRefused(String why) {
    BadJobException e =
        assertThrows(BadJobException.class, () -> MergedModel.write(merged, base, adapter, 1));
    assertTrue(String.valueOf(e.getMessage()).contains(why), e.getMessage());
  }

  private TensorView lora(String which, int rows, int columns) {
    return tensor(
        "base_model.model.%s.lora_%s.weight".formatted(LAYER, which), DType.F32, rows, columns);
  }

  private void write(String file, TensorView... tensors) throws IOException {
    SafetensorsWriter.write(base.resolve(file), List.of(tensors), Map.of("format", "pt"));
  }

  /** Scaled by three. */
  private void writeAdapter(TensorView... tensors) throws IOException {
    SafetensorsWriter.write(adapter.resolve(PeftAdapter.WEIGHTS), List.of(tensors), Map.of());
    JobSpec.Adapter lora =
        new JobSpec.Adapter(JobSpec.AdapterType.LORA, R, 3 * R, 0, List.of("q_proj"), false, null);
    AdapterConfig.write(adapter, lora, List.of("q_proj"), false, base);
  }

  /** Between -1 and 1. */
  private TensorView tensor(String name, DType type, int rows, int columns) {
    MemorySegment data = Arena.ofAuto().allocate((long) rows * columns * type.bytes(), 64);
    for (long i = 0; i < (long) rows * columns; i++) {
      float value = random.below(2001) / 1000f - 1;
      switch (type) {
        case F32 -> data.setAtIndex(ValueLayout.JAVA_FLOAT, i, value);
        case BF16 ->
            data.setAtIndex(
                ValueLayout.JAVA_SHORT, i, (short) (Float.floatToRawIntBits(value) >>> 16));
        case F16 -> data.setAtIndex(ValueLayout.JAVA_SHORT, i, Float.floatToFloat16(value));
        default -> data.setAtIndex(ValueLayout.JAVA_INT, i, (int) i);
      }
    }
    return new TensorView(name, type, new long[] {rows, columns}, data);
  }

  private static double value(TensorView tensor, long i) {
    MemorySegment data = tensor.data();
    return switch (tensor.dtype()) {
      case F32 -> data.get(ValueLayout.JAVA_FLOAT_UNALIGNED, i * 4);
      case BF16 -> Float.intBitsToFloat(data.get(ValueLayout.JAVA_SHORT_UNALIGNED, i * 2) << 16);
      case F16 -> Float.float16ToFloat(data.get(ValueLayout.JAVA_SHORT_UNALIGNED, i * 2));
      default -> throw new IllegalArgumentException(tensor.dtype().name());
    };
  }
}
