package org.ftcluster.worker.inference;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.job.SampleSource;
import org.ftcluster.worker.model.Generator.Sampling;
import org.ftcluster.worker.tensor.cuda.SimulatedDevice;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LoadedModelTest {
  private static final JobSpec.Model BASE =
      new JobSpec.Model(
          Path.of("../deploy/samples/decompile/base"),
          JobSpec.ComputeType.FLOAT32,
          new JobSpec.Quantization(JobSpec.QuantizationType.NONE, true));
  private static final String PROMPT = "### Assembly:\nf: ret\n### C source:\n";

  @TempDir private Path folder;

  /** The GPU is simulated. */
  @Test
  void aGpuEvaluatesAndGeneratesWhatTheCpuDoes() throws IOException {
    Path data = folder.resolve("data.jsonl");
    Files.writeString(data, "{\"instruction\": \"f: ret\", \"output\": \"void f() {}\"}\n");
    var source =
        SampleSource.ofTexts(data, "### Assembly:\n{instruction}\n### C source:\n", "{output}");
    try (LoadedModel onHost = LoadedModel.open(BASE, null, 1, null);
        LoadedModel onGpu = LoadedModel.open(BASE, null, 1, SimulatedDevice.open())) {
      LoadedModel.Loss expected = onHost.evaluate(source, 64);
      LoadedModel.Loss found = onGpu.evaluate(source, 64);
      assertEquals(expected.targetTokens(), found.targetTokens());
      assertEquals(expected.loss(), found.loss(), 1e-5 * expected.loss());
      assertEquals(generate(onHost), generate(onGpu));
    }
  }

  private static List<String> generate(LoadedModel model) {
    return model.generate(List.of(Prompt.of(PROMPT)), 4, new Sampling.Greedy());
  }
}
