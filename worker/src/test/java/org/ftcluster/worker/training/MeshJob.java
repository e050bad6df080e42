package org.ftcluster.worker.training;

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
import java.util.function.Supplier;
import org.ftcluster.protocol.job.JobSpecReader;
import org.ftcluster.protocol.job.JobSpecWriter;
import org.ftcluster.protocol.message.RankReport.TrainingResult;
import org.ftcluster.worker.collective.ListenAddress;
import org.ftcluster.worker.safetensors.DType;
import org.ftcluster.worker.safetensors.SafetensorsFile;

/** Ten steps of a tiny model, whose ranks are threads. */
final class MeshJob implements AutoCloseable {
  static final int STEPS = 10;

  private static final Path SAMPLE = Path.of("../deploy/samples/decompile");

  private final Path folder;
  private final String yaml;
  private final Supplier<? extends Gpu> gpus;
  private final List<RankTask> tasks = new ArrayList<>();

  /**
   * What a job leaves.
   *
   * @param adapter or, where every weight is trained, the model; not where that is bfloat16
   */
  record Run(
      double[] losses,
      double[] norms,
      double evalLossBefore,
      double evalLossAfter,
      Map<String, float[]> adapter,
      String sha256) {
    /** How far another one's values are from these, relative to them. */
    double distanceTo(Run other) {
      double squares = 0;
      double size = 0;
      for (Map.Entry<String, float[]> tensor : adapter.entrySet()) {
        float[] theirs = Objects.requireNonNull(other.adapter.get(tensor.getKey()));
        for (int i = 0; i < theirs.length; i++) {
          double value = tensor.getValue()[i];
          squares += (value - theirs[i]) * (value - theirs[i]);
          size += value * value;
        }
      }
      return Math.sqrt(squares / size);
    }
  }

  /**
   * @param models what {@link #writeFiles} has written to
   * @param folder for what the job leaves
   */
  MeshJob(Path models, Path folder, String... more) {
    this(models, folder, () -> NvidiaGpu.open(false), more);
  }

  /**
   * @param gpus opens a rank's, where the job asks for one
   */
  MeshJob(Path models, Path folder, Supplier<? extends Gpu> gpus, String... more) {
    this.folder = folder;
    this.gpus = gpus;
    this.yaml = yaml(models, folder, more);
  }

  /** The same as a job file. */
  static String yaml(Path models, Path folder, String... more) {
    List<String> sets =
        new ArrayList<>(
            List.of(
                "checkpoint.path=" + folder,
                "checkpoint.every_steps=3",
                "model.path=" + models.resolve("llama"),
                "model.quantization.type=none",
                "model.dtype=float32",
                "adapter.r=4",
                "adapter.lora_dropout=0.1",
                "data.train.path=" + models.resolve("data.jsonl"),
                "data.eval.path=" + models.resolve("eval.jsonl"),
                "data.max_length=64",
                "training.max_steps=" + STEPS,
                "training.global_batch_size=9",
                "training.micro_batch_size=2",
                "training.learning_rate=0.01",
                // A gradient that is nothing but rounding mustn't take a whole step either way.
                "training.adam_epsilon=1e-6"));
    sets.addAll(Arrays.asList(more));
    return JobSpecWriter.toYaml(JobSpecReader.read(SAMPLE.resolve("job.yaml"), sets));
  }

  /** Models and data. */
  static void writeFiles(Path models) throws IOException {
    TinyModel.llama(models.resolve("llama"));
    TinyModel.qwen3(models.resolve("qwen3"));
    TinyModel.phi3(models.resolve("phi3"));
    TinyModel.gemma2(models.resolve("gemma2"));
    writeSamples(models.resolve("data.jsonl"), 30);
    writeSamples(models.resolve("eval.jsonl"), 5);
  }

  private static void writeSamples(Path file, int count) throws IOException {
    StringBuilder samples = new StringBuilder();
    for (int i = 0; i < count; i++) {
      samples.append(
          """
          {"instruction": "mov eax, %d", "output": "return %s;"}
          """
              .formatted(i * i, "x + ".repeat(i % 7) + i));
    }
    Files.writeString(file, samples);
  }

  /** A worker, which goes with the job. */
  RankTask newTask() {
    RankTask task =
        new TrainingTaskFactory(Generation.DEADLINES, MachineMemory.total(), gpus)
            .create("job", yaml, ListenAddress.on("127.0.0.1"));
    tasks.add(task);
    return task;
  }

  List<RankTask> newTasks(int count) {
    List<RankTask> created = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      created.add(newTask());
    }
    return created;
  }

  /** From the beginning to the end, undisturbed. */
  Run run(int ranks) throws Exception {
    try (this) {
      return completed(new Generation(1, newTasks(ranks)).run(-1));
    }
  }

  /** What the last generation has left. */
  Run completed(Generation generation) throws IOException {
    for (RuntimeException failure : generation.failures) {
      if (failure != null) {
        throw failure;
      }
    }
    TrainingResult result = Objects.requireNonNull(generation.result);
    List<String> lines = Files.readAllLines(folder.resolve("metrics.jsonl"));
    double[] losses = new double[lines.size()];
    double[] norms = new double[lines.size()];
    for (int i = 0; i < losses.length; i++) {
      JsonNode line = new JsonMapper().readTree(lines.get(i));
      losses[i] = line.get("loss").asDouble();
      norms[i] = line.get("grad_norm").asDouble();
    }
    Map<String, float[]> adapter = new HashMap<>();
    Path weights = folder.resolve("adapter/adapter_model.safetensors");
    if (Files.notExists(weights)) {
      weights = folder.resolve("model/model.safetensors");
    }
    try (SafetensorsFile file = SafetensorsFile.open(weights)) {
      for (String name : file.names()) {
        if (file.get(name).dtype() == DType.F32) {
          adapter.put(name, file.get(name).data().toArray(ValueLayout.JAVA_FLOAT_UNALIGNED));
        }
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

  @Override
  public void close() {
    tasks.forEach(RankTask::close);
    tasks.clear();
  }
}
