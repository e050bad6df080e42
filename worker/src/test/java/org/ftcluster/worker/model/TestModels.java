package org.ftcluster.worker.model;

import com.fasterxml.jackson.databind.JsonNode;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.ftcluster.protocol.job.JobSpec;

/** Settings and parameters for tests of models. */
final class TestModels {
  private TestModels() {}

  static JobSpec.Model float32(Path folder) {
    return new JobSpec.Model(
        folder,
        JobSpec.ComputeType.FLOAT32,
        new JobSpec.Quantization(JobSpec.QuantizationType.NONE, false));
  }

  static JobSpec.Adapter adapter(int r, int alpha, List<String> targets) {
    return new JobSpec.Adapter(JobSpec.AdapterType.LORA, r, alpha, 0.0, targets, false, null);
  }

  /** As a golden case has it; those without a LoRA train all of the model. */
  static JobSpec.Adapter adapter(JsonNode lora) {
    if (lora.isMissingNode()) {
      return noAdapter();
    }
    List<String> targets = new ArrayList<>();
    lora.path("target_modules").forEach(target -> targets.add(target.asText()));
    return adapter(lora.path("r").asInt(), lora.path("lora_alpha").asInt(), targets);
  }

  /** For full fine-tuning. */
  static JobSpec.Adapter noAdapter() {
    return new JobSpec.Adapter(
        JobSpec.AdapterType.NONE, 1, 1, 0.0, List.of("all-linear"), false, null);
  }

  static float[] get(MemorySegment buffer, ParameterBuffer.Slice slice) {
    float[] values = new float[Math.toIntExact(slice.size())];
    MemorySegment.copy(
        buffer, ValueLayout.JAVA_FLOAT, slice.offset() * Float.BYTES, values, 0, values.length);
    return values;
  }

  static void set(MemorySegment buffer, ParameterBuffer.Slice slice, float[] values) {
    MemorySegment.copy(
        values, 0, buffer, ValueLayout.JAVA_FLOAT, slice.offset() * Float.BYTES, values.length);
  }
}
