package org.ftcluster.worker.training;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.ftcluster.protocol.job.JobSpecReader;
import org.ftcluster.protocol.job.JobSpecWriter;
import org.ftcluster.protocol.message.RankReport.TrainingResult;
import org.ftcluster.worker.safetensors.SafetensorsFile;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Ten steps of a model in parts are ten steps of the model on one rank. */
class MeshTrainingTest {
  private static final Path SAMPLE = Path.of("../deploy/samples/decompile");
  private static final int STEPS = 10;

  @TempDir static Path models;
  private static final Map<String, Run> ALONE = new HashMap<>();

  @TempDir Path out;

  /** What a job leaves. */
  private record Run(
      double[] losses,
      double[] norms,
      double evalLossBefore,
      double evalLossAfter,
      Map<String, float[]> adapter,
      String sha256) {}

  @BeforeAll
  static void writeModels() throws IOException {
    TinyModel.llama(models.resolve("llama"));
    TinyModel.qwen2(models.resolve("qwen2"));
    StringBuilder samples = new StringBuilder();
    for (int i = 0; i < 30; i++) {
      samples.append(
          """
          {"instruction": "mov eax, %d", "output": "return %s;"}
          """
              .formatted(i * i, "x + ".repeat(i % 7) + i));
    }
    Files.writeString(models.resolve("data.jsonl"), samples);
  }

  @ParameterizedTest
  @CsvSource({
    "llama, none, 1, 2, 1",
    "llama, none, 1, 4, 1",
    "llama, none, 2, 2, 1",
    "llama, none, 1, 1, 2",
    "llama, none, 1, 1, 4",
    "llama, none, 1, 2, 2",
    "llama, none, 2, 1, 2",
    "llama, nf4, 1, 2, 1",
    "llama, nf4, 1, 1, 4",
    "qwen2, none, 1, 2, 1",
    "qwen2, none, 1, 4, 1",
    "qwen2, none, 2, 2, 1",
    "qwen2, none, 1, 1, 2",
    "qwen2, none, 1, 1, 4",
    "qwen2, none, 1, 2, 2",
    "qwen2, none, 2, 1, 2",
    "qwen2, nf4, 2, 2, 1",
    "qwen2, nf4, 1, 2, 2"
  })
  void aMeshLearnsWhatOneRankLearns(
      String model, String quantization, int data, int tensor, int pipeline) throws Exception {
    String[] job = {
      "model.path=" + models.resolve(model),
      "model.quantization.type=" + quantization,
      "parallel.tensor=" + tensor,
      "parallel.pipeline=" + pipeline
    };
    Run alone = alone(model, quantization);
    Run mesh = train(data * tensor * pipeline, out, job);

    double tolerance = quantization.equals("none") ? 1e-5 : 1e-3;
    close(alone.losses, mesh.losses, tolerance);
    close(alone.norms, mesh.norms, tolerance);
    assertEquals(alone.evalLossBefore, mesh.evalLossBefore, tolerance * alone.evalLossBefore);
    assertEquals(alone.evalLossAfter, mesh.evalLossAfter, tolerance * alone.evalLossAfter);
    assertEquals(alone.adapter.keySet(), mesh.adapter.keySet());
    double squares = 0;
    double size = 0;
    for (String name : alone.adapter.keySet()) {
      float[] values = alone.adapter.get(name);
      squares += squaredDistance(values, mesh.adapter.get(name));
      size += squaredDistance(values, new float[values.length]);
    }
    double difference = Math.sqrt(squares / size);
    assertTrue(difference <= tolerance, "the adapter differs by " + difference);
    if (tensor == 1) {
      assertEquals(alone.sha256, mesh.sha256, "stages compute what a whole model computes");
    }
  }

  private static void close(double[] expected, double[] actual, double tolerance) {
    assertEquals(STEPS, actual.length);
    for (int i = 0; i < expected.length; i++) {
      assertEquals(expected[i], actual[i], tolerance * expected[i], "step " + (i + 1));
    }
  }

  private static double squaredDistance(float[] a, float[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += ((double) a[i] - b[i]) * ((double) a[i] - b[i]);
    }
    return sum;
  }

  private Run alone(String model, String quantization) throws Exception {
    String key = model + " " + quantization;
    Run run = ALONE.get(key);
    if (run == null) {
      run =
          train(
              1,
              out.resolve("alone"),
              "model.path=" + models.resolve(model),
              "model.quantization.type=" + quantization);
      ALONE.put(key, run);
    }
    return run;
  }

  private static Run train(int ranks, Path folder, String... more) throws Exception {
    List<String> sets =
        new ArrayList<>(
            List.of(
                "checkpoint.path=" + folder,
                "checkpoint.every_steps=0",
                "model.dtype=float32",
                "adapter.r=4",
                "adapter.lora_dropout=0.1",
                "data.train.path=" + models.resolve("data.jsonl"),
                "data.eval.path=" + models.resolve("data.jsonl"),
                "data.max_length=64",
                "training.max_steps=" + STEPS,
                "training.global_batch_size=12",
                "training.micro_batch_size=2",
                "training.learning_rate=0.01"));
    sets.addAll(Arrays.asList(more));
    String yaml = JobSpecWriter.toYaml(JobSpecReader.read(SAMPLE.resolve("job.yaml"), sets));
    List<RankTask> tasks = new ArrayList<>();
    try {
      for (int rank = 0; rank < ranks; rank++) {
        tasks.add(new TrainingTaskFactory(Generation.DEADLINES).create("job", yaml, "127.0.0.1"));
      }
      Generation generation = new Generation(1, tasks).run(-1);
      for (RuntimeException failure : generation.failures) {
        if (failure != null) {
          throw failure;
        }
      }
      return read(folder, Objects.requireNonNull(generation.result));
    } finally {
      tasks.forEach(RankTask::close);
    }
  }

  private static Run read(Path folder, TrainingResult result) throws IOException {
    List<String> lines = Files.readAllLines(folder.resolve("metrics.jsonl"));
    double[] losses = new double[lines.size()];
    double[] norms = new double[lines.size()];
    for (int i = 0; i < losses.length; i++) {
      JsonNode line = new JsonMapper().readTree(lines.get(i));
      losses[i] = line.get("loss").asDouble();
      norms[i] = line.get("grad_norm").asDouble();
    }
    Map<String, float[]> adapter = new HashMap<>();
    try (SafetensorsFile file =
        SafetensorsFile.open(folder.resolve("adapter/adapter_model.safetensors"))) {
      for (String name : file.names()) {
        adapter.put(name, file.get(name).data().toArray(ValueLayout.JAVA_FLOAT_UNALIGNED));
      }
    }
    return new Run(
        losses,
        norms,
        result.evalLossBefore(),
        result.evalLossAfter(),
        adapter,
        result.adapterSha256());
  }
}
