package org.ftcluster.worker.training;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.function.ToLongFunction;
import java.util.stream.Stream;
import org.ftcluster.protocol.job.JobSpecReader;
import org.ftcluster.worker.model.MemoryEstimate;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * The memory that ranks hold in a step of the sample job is what the plan says, and falls with
 * their number as it should.
 *
 * <p>{@code -Dfootprint=all} looks at every kind of mesh, for the table in docs/parallel.md.
 */
class MeshFootprintTest {
  private static final Path SAMPLE = Path.of("../deploy/samples/decompile").toAbsolutePath();

  /** Packed, so that all micro-batches are about as large as the largest. */
  private static final List<String> SETTINGS =
      List.of(
          "model.path=" + SAMPLE.resolve("base"),
          "data.train.path=" + SAMPLE.resolve("eval.jsonl"),
          "data.max_length=256",
          "data.packing=true",
          "adapter.r=16",
          "adapter.lora_dropout=0",
          "training.max_steps=1",
          "training.global_batch_size=16",
          "training.micro_batch_size=4",
          "checkpoint.every_steps=0",
          "parallel.mirror=false");

  @TempDir static Path files;
  @TempDir Path out;

  @BeforeAll
  static void writeFiles() throws IOException {
    MeshJob.writeFiles(files);
  }

  static Stream<MeshCase> meshes() {
    return System.getProperty("footprint", "few").equals("all")
        ? Stream.concat(Stream.of(MeshCase.ALONE), MeshCase.ALL.stream())
        : Stream.of(
            MeshCase.ALONE,
            new MeshCase(1, 2, 1, 1, "none"),
            new MeshCase(2, 1, 2, 1, "zero2"),
            new MeshCase(2, 1, 1, 1, "zero3"));
  }

  static Stream<MeshCase> sharings() {
    MeshCase shared = new MeshCase(4, 1, 1, 1, "zero3");
    MeshCase staged = new MeshCase(2, 1, 2, 1, "zero3");
    return System.getProperty("footprint", "few").equals("all")
        ? Stream.of(
            MeshCase.ALONE,
            new MeshCase(2, 1, 1, 1, "zero2"),
            new MeshCase(4, 1, 1, 1, "zero2"),
            new MeshCase(2, 1, 1, 1, "zero3"),
            shared,
            new MeshCase(2, 2, 1, 1, "zero3"),
            new MeshCase(4, 1, 1, 1, "zero3", 2),
            new MeshCase(1, 1, 2, 1, "zero3"),
            new MeshCase(1, 1, 4, 1, "zero3"),
            staged,
            new MeshCase(2, 1, 2, 2, "zero3"))
        : Stream.of(shared, staged);
  }

  /** Of a job that trains every weight. */
  @ParameterizedTest
  @MethodSource("sharings")
  void ranksHoldWhatIsPredictedOfTheWholeModel(MeshCase mesh) throws Exception {
    String[] full = {"adapter.type=none", "training.learning_rate=0.0001"};
    List<MemoryUse> held = held(mesh, full);
    List<MemoryEstimate> predicted = predicted(mesh, full);
    double weights = mean(held, MemoryUse::weights); // rooms where they are gathered
    double trained = mean(held, MemoryUse::trained);
    double activations = mean(held, MemoryUse::activations);
    double total = mean(held, MemoryUse::total);
    double expected = mean(predicted, MemoryEstimate::data);
    System.out.printf(
        Locale.ROOT,
        "| %s, every weight | %.1f | %.1f | %.1f | %.1f | %.1f |%n",
        mesh,
        weights / 1e6,
        trained / 1e6,
        activations / 1e6,
        total / 1e6,
        expected / 1e6);
    double ofTrained = mean(predicted, MemoryEstimate::trained);
    assertEquals(ofTrained, weights + trained, 0.02 * ofTrained);
    assertEquals(expected, total, 0.1 * expected);
  }

  @ParameterizedTest
  @MethodSource("meshes")
  void ranksHoldWhatIsPredicted(MeshCase mesh) throws Exception {
    List<MemoryUse> held = held(mesh);
    List<MemoryEstimate> predicted = predicted(mesh);
    double weights = mean(held, MemoryUse::weights);
    double trained = mean(held, MemoryUse::trained);
    double activations = mean(held, MemoryUse::activations);
    System.out.printf(
        Locale.ROOT,
        "| %s | %.1f | %.1f | %.1f | %.1f | %.1f |%n",
        mesh,
        weights / 1e6,
        trained / 1e6,
        activations / 1e6,
        mean(held, MemoryUse::total) / 1e6,
        mean(predicted, MemoryEstimate::data) / 1e6);

    double expected = mean(predicted, MemoryEstimate::weights);
    assertEquals(expected, weights, 0.01 * expected);
    // With copies of what is trained, where there are any.
    expected = mean(predicted, MemoryEstimate::trained);
    assertEquals(expected, trained, 0.02 * expected);
    expected = mean(predicted, MemoryEstimate::activations);
    // Stages of several chunks don't wait for their messages to be taken, so how many batches they
    // have in memory is not a fixed number.
    assertEquals(expected, activations, (mesh.chunks() == 1 ? 0.1 : 0.25) * expected);
  }

  private static <T> double mean(List<T> ranks, ToLongFunction<T> bytes) {
    return ranks.stream().mapToLong(bytes).average().orElseThrow();
  }

  /** By stage. */
  private static List<MemoryEstimate> predicted(MeshCase mesh, String... more) {
    String yaml = MeshJob.yaml(files, files.resolve("plan"), settings(mesh, more));
    MemoryPlan plan = new TrainingTaskFactory().plan(yaml, 1L << 40);
    return MemoryPlan.stages(
            JobSpecReader.resolved(yaml), plan.savings(), plan.largest(), plan.largest())
        .toList();
  }

  private List<MemoryUse> held(MeshCase mesh, String... more) throws Exception {
    try (MeshJob job = new MeshJob(files, out, settings(mesh, more))) {
      List<RankTask> tasks = job.newTasks(mesh.ranks());
      job.completed(new Generation(1, tasks).run(-1));
      return tasks.stream().map(task -> ((TrainingTask) task).memory()).toList();
    }
  }

  private static String[] settings(MeshCase mesh, String... more) {
    List<String> sets = new ArrayList<>(Arrays.asList(more));
    sets.addAll(SETTINGS);
    return mesh.settings(sets.toArray(String[]::new));
  }
}
