package org.ftcluster.worker.training;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.job.JobSpecReader;
import org.ftcluster.protocol.message.RankReport.TrainingResult;
import org.ftcluster.worker.checkpoint.Checksums;
import org.ftcluster.worker.collective.ListenAddress;
import org.ftcluster.worker.data.Dataset;
import org.ftcluster.worker.data.EvalBatches;
import org.ftcluster.worker.data.GlobalBatches;
import org.ftcluster.worker.data.Tokenizer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;

/**
 * A job of twelve steps of five micro-batches, and what one undisturbed worker makes of it: however
 * else it is run, it must leave the same adapter, byte for byte.
 */
abstract class SmallJob {
  private static final Path SAMPLE = Path.of("../deploy/samples/decompile");
  static final int STEPS = 12;
  static final int MICRO_BATCHES = 5;

  /** 300 samples. */
  private static Dataset data;

  @TempDir static Path undisturbed;
  static TrainingResult expected;

  @TempDir Path out;
  private final List<TrainingTask> tasks = new ArrayList<>();

  @BeforeAll
  static void trainUndisturbed() throws Exception {
    JobSpec spec = spec(undisturbed);
    try (Tokenizer tokenizer = Tokenizer.open(spec.model().path(), 1024)) {
      data = Dataset.load(spec.data().train(), tokenizer, spec.data().maxLength(), 1);
    }
    try (TrainingTask alone = task(spec, () -> {})) {
      expected = completed(new Generation(1, List.of(alone)).run(-1));
    }
  }

  @BeforeEach
  void nothingRuns() {
    tasks.clear();
  }

  @AfterEach
  void free() {
    tasks.forEach(TrainingTask::close);
  }

  static void assertSameAsUndisturbed(Generation generation, Path folder) throws IOException {
    TrainingResult result = completed(generation);
    assertEquals(expected.adapterSha256(), result.adapterSha256());
    assertEquals(expected.adapterSha256(), sha256(folder));
    assertEquals(expected.evalLossBefore(), result.evalLossBefore());
    assertEquals(expected.evalLossAfter(), result.evalLossAfter());
    assertEquals(expected.samples(), result.samples());
    for (String name : List.of("metrics.jsonl", "samples.jsonl")) {
      assertEquals(history(undisturbed.resolve(name)), history(folder.resolve(name)));
    }
  }

  /** All lines, but for what depends on when and where they were written. */
  static List<String> history(Path file) throws IOException {
    return lines(file).stream()
        .map(
            line ->
                ((ObjectNode) line)
                    .without(List.of("tokens_per_second", "workers", "generation"))
                    .toString())
        .toList();
  }

  static List<JsonNode> lines(Path file) throws IOException {
    List<JsonNode> lines = new ArrayList<>();
    for (String line : Files.readAllLines(file)) {
      lines.add(new JsonMapper().readTree(line));
    }
    return lines;
  }

  static List<Long> steps(List<JsonNode> lines) {
    return lines.stream().map(line -> line.get("step").asLong()).toList();
  }

  static List<String> checkpoints(Path folder) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files
          .map(file -> file.getFileName().toString())
          .filter(name -> name.startsWith("step-"))
          .sorted()
          .toList();
    }
  }

  static void deleteCheckpoints(Path folder) throws IOException {
    for (String name : checkpoints(folder)) {
      Files.move(folder.resolve(name), folder.resolve("gone-" + name));
    }
  }

  static long newest(List<TrainingTask> tasks) {
    return tasks.stream().mapToLong(TrainingTask::completedStep).max().orElseThrow();
  }

  static int holderOf(long step, List<TrainingTask> tasks) {
    return tasks.stream().map(TrainingTask::completedStep).toList().indexOf(step);
  }

  static String sha256(Path folder) throws IOException {
    return Checksums.sha256(folder.resolve("adapter/adapter_model.safetensors"));
  }

  static TrainingResult completed(Generation generation) {
    for (RuntimeException failure : generation.failures) {
      if (failure != null) {
        throw failure;
      }
    }
    return Objects.requireNonNull(generation.result);
  }

  static long sizeOf(List<?> failures) {
    return failures.stream().filter(Objects::nonNull).count();
  }

  List<TrainingTask> tasks(int count, Path folder) {
    return tasks(count, folder, () -> {});
  }

  List<TrainingTask> tasks(int count, Path folder, Runnable beforePass) {
    return IntStream.range(0, count).mapToObj(i -> keep(task(spec(folder), beforePass))).toList();
  }

  /** One of them throws before its {@code pass}-th forward and backward. */
  List<TrainingTask> tasksWithFault(int count, Path folder, int faulty, int pass) {
    AtomicInteger passes = new AtomicInteger();
    Runnable fault =
        () -> {
          if (passes.incrementAndGet() == pass) {
            throw new IllegalStateException("fault");
          }
        };
    return IntStream.range(0, count)
        .mapToObj(i -> keep(task(spec(folder), i == faulty ? fault : () -> {})))
        .toList();
  }

  TrainingTask keep(TrainingTask task) {
    tasks.add(task);
    return task;
  }

  static TrainingTask task(JobSpec spec, Runnable beforePass) {
    return task(spec, new BigramModel(beforePass));
  }

  static TrainingTask task(JobSpec spec, BigramModel model) {
    return new TrainingTask(
        "small",
        spec,
        model,
        new GlobalBatches(data, spec),
        new EvalBatches(data, 4096),
        ListenAddress.on("127.0.0.1"),
        Generation.DEADLINES);
  }

  static JobSpec spec(Path folder, String... more) {
    List<String> sets =
        new ArrayList<>(
            List.of(
                "checkpoint.path=" + folder,
                "checkpoint.every_steps=4",
                "checkpoint.keep=2",
                "data.train.path=eval.jsonl",
                "adapter.r=4",
                "training.max_steps=" + STEPS,
                "training.global_batch_size=14",
                "training.micro_batch_size=" + Math.ceilDiv(14, MICRO_BATCHES),
                "training.learning_rate=0.05",
                "training.weight_decay=0.01",
                "training.log_samples=true"));
    sets.addAll(Arrays.asList(more));
    return JobSpecReader.read(SAMPLE.resolve("job.yaml"), sets);
  }
}
