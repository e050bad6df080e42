package org.ftcluster.worker.checkpoint;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.protocol.job.JobSpec.Adapter;
import org.ftcluster.protocol.job.JobSpec.AdapterType;
import org.ftcluster.worker.model.FloatSource;
import org.ftcluster.worker.model.ParameterBuffer;
import org.ftcluster.worker.safetensors.DType;
import org.ftcluster.worker.safetensors.SafetensorsFile;
import org.ftcluster.worker.safetensors.SafetensorsWriter;
import org.ftcluster.worker.safetensors.TensorView;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class PeftAdapterTest {
  private static final String PREFIX = "base_model.model.model.layers.";
  private static final List<String> MODULES = List.of("self_attn.q_proj", "mlp.down_proj");
  private static final Path BASE = Path.of("/models/base");

  @TempDir private Path root;

  private static String write(Path folder, Adapter adapter, ParameterBuffer parameters) {
    return PeftAdapter.write(
        folder, adapter, BASE, parameters.slices(), FloatSource.of(parameters.values()));
  }

  @Test
  void anAdapterIsWrittenAsPeftWritesIt() throws IOException {
    Path folder = root.resolve("adapter");
    try (ParameterBuffer parameters = parameters(MODULES, 4)) {
      write(folder, lora(4, List.of("all-linear")), parameters);
    }
    JsonNode config = new JsonMapper().readTree(folder.resolve("adapter_config.json").toFile());
    assertEquals("LORA", config.get("peft_type").asText());
    assertEquals("CAUSAL_LM", config.get("task_type").asText());
    assertEquals("/models/base", config.get("base_model_name_or_path").asText());
    assertEquals("[\"down_proj\",\"q_proj\"]", config.get("target_modules").toString());
    assertEquals(4, config.get("r").asInt());
    assertEquals(8, config.get("lora_alpha").asInt());
    assertTrue(config.get("inference_mode").asBoolean());
    assertTrue(config.get("modules_to_save").isNull());
    try (SafetensorsFile file = SafetensorsFile.open(folder.resolve("adapter_model.safetensors"))) {
      assertEquals(Map.of("format", "pt"), file.metadata());
      assertEquals(8, file.names().size());
      TensorView a = file.get(PREFIX + "1.mlp.down_proj.lora_A.weight");
      assertEquals(DType.F32, a.dtype());
      assertArrayEquals(new long[] {4, 6}, a.shape());
    }
  }

  @Test
  void otherPartsOfAModelThatSeesAreLeftOut() throws IOException {
    Path folder = root.resolve("adapter");
    String prefix = PREFIX.replace("layers", "language_model.layers");
    try (ParameterBuffer parameters = parameters(prefix, MODULES, 4)) {
      write(folder, lora(4, List.of("q_proj")), parameters);
    }
    String excluded =
        new JsonMapper()
            .readTree(folder.resolve("adapter_config.json").toFile())
            .get("exclude_modules")
            .asText();
    assertTrue("model.vision_tower.encoder.layers.0.self_attn.q_proj".matches(excluded));
    assertFalse("model.language_model.layers.0.self_attn.q_proj".matches(excluded));
  }

  @Test
  void theTensorsSayWhichLayersAPatternMeans() throws IOException {
    Path folder = root.resolve("adapter");
    Path file = folder.resolve("adapter_config.json");
    try (ParameterBuffer parameters = parameters(MODULES, 4)) {
      write(folder, lora(4, List.of("q_proj", "down_proj")), parameters);
      assertEquals(List.of("q_proj", "down_proj"), PeftAdapter.read(folder).targetModules());
      String json = Files.readString(file).replaceFirst("\\[[^]]*\\]", "\".*layers.*proj\"");
      Files.writeString(file, json);
      assertEquals(List.of("down_proj", "q_proj"), PeftAdapter.read(folder).targetModules());
    }
  }

  @Test
  void layersOfModelsThatSeeHadOtherNamesBefore() {
    String older = PREFIX.replace("model.layers", "language_model.model.layers");
    String newer = PREFIX.replace("layers", "language_model.layers");
    Adapter adapter = lora(4, List.of("q_proj"));
    Path folder = root.resolve("adapter");
    try (ParameterBuffer saved = parameters(older, List.of("self_attn.q_proj"), 4);
        ParameterBuffer read = parameters(newer, List.of("self_attn.q_proj"), 4)) {
      write(folder, adapter, saved);
      PeftAdapter.readInto(folder, adapter, read);
      assertEquals(-1, read.values().mismatch(saved.values()));
    }
  }

  @Test
  void theChecksumIsAFunctionOfTheValuesAlone() {
    try (ParameterBuffer parameters = parameters(MODULES, 4);
        ParameterBuffer reordered = parameters(MODULES.reversed(), 4)) {
      Adapter adapter = lora(4, MODULES);
      String first = write(root.resolve("a"), adapter, parameters);
      assertEquals(first, write(root.resolve("b"), adapter, parameters));
      assertEquals(first, write(root.resolve("c"), adapter, reordered));
      parameters.values().setAtIndex(ValueLayout.JAVA_FLOAT, 3, 0.5f);
      assertFalse(first.equals(write(root.resolve("a"), adapter, parameters)));
    }
  }

  @Test
  void whatIsWrittenIsReadBack() {
    Adapter adapter = lora(4, List.of("q_proj", "down_proj"));
    Path folder = root.resolve("adapter");
    try (ParameterBuffer parameters = parameters(MODULES, 4);
        ParameterBuffer read = parameters(MODULES, 4)) {
      write(folder, adapter, parameters);
      read.values().fill((byte) 0);
      PeftAdapter.readInto(folder, adapter, read);
      assertEquals(-1, read.values().mismatch(parameters.values()));
    }
    Adapter saved = PeftAdapter.read(folder);
    assertEquals(lora(4, List.of("q_proj", "down_proj")), saved);
  }

  @Test
  void halfPrecisionAdaptersAreReadToo() throws IOException {
    Path folder = root.resolve("adapter");
    Adapter adapter = lora(4, List.of("q_proj"));
    try (ParameterBuffer parameters = parameters(List.of("self_attn.q_proj"), 4)) {
      write(folder, adapter, parameters);
      for (DType type : List.of(DType.BF16, DType.F16)) {
        // One and a half in either type.
        short bits = type == DType.BF16 ? (short) 0x3fc0 : Float.floatToFloat16(1.5f);
        List<TensorView> tensors = new ArrayList<>();
        for (ParameterBuffer.Slice slice : parameters.slices()) {
          short[] values = new short[Math.toIntExact(slice.size())];
          Arrays.fill(values, bits);
          MemorySegment data = Arena.ofAuto().allocateFrom(ValueLayout.JAVA_SHORT, values);
          tensors.add(new TensorView(slice.name(), type, slice.shape(), data));
        }
        SafetensorsWriter.write(folder.resolve("adapter_model.safetensors"), tensors, Map.of());
        parameters.values().fill((byte) 0);
        PeftAdapter.readInto(folder, adapter, parameters);
        for (float value : parameters.values().toArray(ValueLayout.JAVA_FLOAT)) {
          assertEquals(1.5f, value);
        }
      }
    }
  }

  @Test
  void anAdapterThatDoesNotFitIsRefusedInASentence() {
    Path folder = root.resolve("adapter");
    try (ParameterBuffer parameters = parameters(MODULES, 4)) {
      write(folder, lora(4, List.of("all-linear")), parameters);
    }
    assertRefused(
        folder,
        lora(8, MODULES),
        MODULES,
        8,
        "the adapter has r 4, but the job says adapter.r: 8.");
    assertRefused(
        folder,
        new Adapter(AdapterType.LORA, 4, 16, 0, MODULES, false, null),
        MODULES,
        4,
        "the adapter has lora_alpha 8 and use_rslora false, but the job says adapter.lora_alpha: 16 and adapter.use_rslora: false.");
    List<String> more = List.of("self_attn.q_proj", "mlp.down_proj", "mlp.up_proj");
    assertRefused(
        folder,
        lora(4, List.of("q_proj", "down_proj", "up_proj")),
        more,
        4,
        "has no tensor base_model.model.model.layers.0.mlp.up_proj.lora_A.weight, which this job trains (target_modules [q_proj, down_proj, up_proj]); the adapter is for [down_proj, q_proj].");
    assertRefused(
        folder,
        lora(4, List.of("q_proj")),
        List.of("self_attn.q_proj"),
        4,
        "holds tensor base_model.model.model.layers.0.mlp.down_proj.lora_A.weight, which this job doesn't train (target_modules [q_proj]); the adapter is for [down_proj, q_proj].");
  }

  @Test
  void anAdapterForAnotherModelIsRefusedWithBothShapes() throws IOException {
    Path folder = root.resolve("adapter");
    try (ParameterBuffer narrow = parameters(List.of("self_attn.q_proj"), 2)) {
      write(folder, lora(4, List.of("q_proj")), narrow);
    }
    assertRefused(
        folder,
        lora(4, List.of("q_proj")),
        List.of("self_attn.q_proj"),
        4,
        "lora_A.weight is [2, 6], but for this model it would have to be [4, 6]");
  }

  @Test
  void foldersThatHoldNoAdapterOrAnotherKindAreRefused() throws IOException {
    assertRefusedConfig(null, "adapter_config.json: there is no such file");
    assertRefusedConfig("{", "is not valid JSON");
    assertRefusedConfig("{\"peft_type\": \"IA3\"}", "peft_type is \"IA3\", but only LORA");
    assertRefusedConfig(
        "{\"peft_type\": \"LORA\", \"use_dora\": true}",
        "use_dora is true, which is not supported");
    assertRefusedConfig(
        "{\"peft_type\": \"LORA\", \"modules_to_save\": [\"lm_head\"]}", "modules_to_save is");
    assertRefusedConfig(
        "{\"peft_type\": \"LORA\", \"rank_pattern\": {}, \"r\": \"x\"}",
        "r is \"x\", but a positive whole number belongs there");
    assertRefusedConfig(
        "{\"peft_type\": \"LORA\", \"r\": 4, \"lora_alpha\": 8}", "target_modules names no layer");
  }

  @Test
  void aFailureLeavesTheFormerAdapter() throws IOException {
    Path folder = root.resolve("adapter");
    try (ParameterBuffer parameters = parameters(MODULES, 4)) {
      String sha256 = write(folder, lora(4, MODULES), parameters);
      Path inTheWay = Files.createDirectories(root.resolve("adapter.partial/folder"));
      assertThrows(CheckpointException.class, () -> write(folder, lora(4, MODULES), parameters));
      assertEquals(sha256, Checksums.sha256(folder.resolve("adapter_model.safetensors")));
      Files.delete(inTheWay);
      assertEquals(sha256, write(folder, lora(4, MODULES), parameters));
    }
    assertEquals(Set.of(folder), Set.copyOf(Folders.list(root)));
  }

  private void assertRefusedConfig(@Nullable String json, String message) throws IOException {
    if (json != null) {
      Files.writeString(root.resolve("adapter_config.json"), json);
    }
    BadJobException e = assertThrows(BadJobException.class, () -> PeftAdapter.read(root));
    assertTrue(e.getMessage().contains(message), e.getMessage());
  }

  private static void assertRefused(
      Path folder, Adapter adapter, List<String> modules, int rows, String message) {
    try (ParameterBuffer parameters = parameters(modules, rows)) {
      BadJobException e =
          assertThrows(
              BadJobException.class, () -> PeftAdapter.readInto(folder, adapter, parameters));
      assertTrue(e.getMessage().startsWith(folder.toString()), e.getMessage());
      assertTrue(e.getMessage().contains(message), e.getMessage());
    }
  }

  private static Adapter lora(int r, List<String> targetModules) {
    return new Adapter(AdapterType.LORA, r, 8, 0, targetModules, false, null);
  }

  /** Two layers; values are functions of the names. */
  private static ParameterBuffer parameters(List<String> modules, int r) {
    return parameters(PREFIX, modules, r);
  }

  private static ParameterBuffer parameters(String prefix, List<String> modules, int r) {
    List<String> names = new ArrayList<>();
    for (int layer = 0; layer < 2; layer++) {
      for (String module : modules) {
        names.add(prefix + layer + "." + module);
      }
    }
    List<ParameterBuffer.Slice> slices = new ArrayList<>();
    long offset = 0;
    for (String name : names) {
      slices.add(new ParameterBuffer.Slice(name + ".lora_A.weight", new long[] {r, 6}, offset));
      offset += r * 6L;
      slices.add(new ParameterBuffer.Slice(name + ".lora_B.weight", new long[] {5, r}, offset));
      offset += 5L * r;
    }
    ParameterBuffer parameters = new ParameterBuffer(slices);
    for (ParameterBuffer.Slice slice : slices) {
      for (long i = 0; i < slice.size(); i++) {
        float value = slice.name().hashCode() % 1000 + i;
        parameters.values().setAtIndex(ValueLayout.JAVA_FLOAT, slice.offset() + i, value);
      }
    }
    return parameters;
  }
}
