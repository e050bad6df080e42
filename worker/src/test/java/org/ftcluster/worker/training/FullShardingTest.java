package org.ftcluster.worker.training;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Every weight is trained, and no rank has all of them: {@code zero3} without an adapter. */
class FullShardingTest {
  @TempDir static Path models;
  private static final Map<String, MeshJob.Run> ALONE = new HashMap<>();

  @TempDir Path out;

  @BeforeAll
  static void writeModels() throws IOException {
    MeshJob.writeFiles(models);
  }

  @ParameterizedTest
  @CsvSource({
    "llama, float32, exact, 2, 1, 1, 1, auto",
    "llama, float32, exact, 4, 1, 1, 1, auto",
    "qwen3, float32, exact, 2, 1, 1, 1, auto",
    "qwen3, float32, exact, 3, 1, 1, 1, auto",
    "llama, bfloat16, exact, 2, 1, 1, 1, auto",
    "qwen3, bfloat16, exact, 3, 1, 1, 1, auto",
    "llama, float32, exact, 4, 2, 1, 1, auto",
    "qwen3, float32, exact, 2, 2, 1, 1, auto",
    "llama, float32, fast, 3, 1, 1, 1, auto",
    "qwen3, float32, bfloat16, 2, 1, 1, 1, auto",
    "qwen3, float32, exact, 4, 1, 1, 1, 2",
    "llama, float32, exact, 4, 2, 1, 1, 2",
    "llama, float32, fast, 4, 1, 1, 1, 2",
    "llama, float32, exact, 2, 1, 2, 1, auto",
    "qwen3, float32, exact, 2, 1, 2, 1, auto",
    "llama, float32, exact, 4, 1, 4, 1, auto",
    "llama, float32, exact, 4, 1, 2, 1, auto",
    "qwen3, float32, exact, 4, 1, 2, 1, auto",
    "llama, float32, exact, 4, 1, 2, 2, auto",
    "qwen3, float32, exact, 4, 1, 2, 2, auto",
    "llama, bfloat16, exact, 6, 1, 3, 1, auto",
    "qwen3, float32, fast, 4, 2, 2, 1, auto",
    "llama, float32, bfloat16, 4, 1, 2, 1, auto",
    "qwen3, float32, exact, 4, 1, 2, 1, 2",
    "phi3, float32, exact, 4, 2, 1, 1, auto",
    "gemma2, float32, exact, 4, 2, 2, 1, auto"
  })
  void sharesTogetherLearnWhatOneRankLearns(
      String model,
      String dtype,
      String reduction,
      int ranks,
      int tensor,
      int stages,
      int chunks,
      String group)
      throws Exception {
    String[] settings =
        settings(
            "model.path=" + models.resolve(model),
            "model.dtype=" + dtype,
            "parallel.tensor=" + tensor);
    MeshJob.Run alone = alone(tensor, settings);
    MeshJob.Run shared =
        new MeshJob(
                models,
                out,
                with(
                    settings,
                    "parallel.sharding=zero3",
                    "parallel.pipeline=" + stages,
                    "parallel.interleave=" + chunks,
                    "parallel.sharding_group=" + group,
                    "training.reduction=" + reduction))
            .run(ranks);

    double tolerance = reduction.equals("bfloat16") ? 1e-2 : 1e-5;
    close(alone.losses(), shared.losses(), tolerance);
    close(alone.norms(), shared.norms(), reduction.equals("bfloat16") ? 3e-2 : 1e-5);
    assertEquals(
        alone.evalLossBefore(), shared.evalLossBefore(), tolerance * alone.evalLossBefore());
    assertEquals(alone.evalLossAfter(), shared.evalLossAfter(), tolerance * alone.evalLossAfter());
    if (dtype.equals("float32")) {
      double difference = alone.distanceTo(shared);
      assertTrue(difference <= tolerance, "the model differs by " + difference);
    }
    if (reduction.equals("exact")) {
      String expected = unshared(model, tensor, stages, chunks, settings).sha256();
      assertEquals(expected, shared.sha256(), "the same, byte for byte");
    }
  }

  @ParameterizedTest
  @CsvSource({
    "llama, 2, 1, 1, 1",
    "llama, 3, 1, 1, 1",
    "llama, 4, 2, 1, 1",
    "llama, 2, 1, 2, 1",
    "llama, 4, 1, 2, 1",
    "qwen3, 4, 1, 2, 2"
  })
  void aRankThatIsLostInAStepCostsNone(String model, int ranks, int tensor, int stages, int chunks)
      throws Exception {
    String[] settings =
        settings("model.path=" + models.resolve(model), "parallel.tensor=" + tensor);
    String[] shared =
        with(
            settings,
            "parallel.sharding=zero3",
            "parallel.pipeline=" + stages,
            "parallel.interleave=" + chunks);
    try (MeshJob job = new MeshJob(models, out.resolve("shared"), shared)) {
      List<RankTask> first = job.newTasks(ranks);
      new Generation(1, first).loseAfterStep(4, 1).run(-1);
      List<RankTask> second = new ArrayList<>(first);
      second.remove(1);
      second.add(job.newTask());
      Collections.reverse(second);
      RankTask newest = Collections.max(second, Comparator.comparingLong(RankTask::completedStep));
      long step = newest.completedStep();
      Generation last = new Generation(2, second);
      MeshJob.Run run = job.completed(last.run(second.indexOf(newest)));

      assertTrue(step >= 4);
      assertEquals(step, last.started.getFirst(), "from memory");
      MeshJob.Run unshared = unshared(model, tensor, stages, chunks, settings);
      assertEquals(unshared.sha256(), run.sha256());
    }
  }

  @Test
  void sharesAreDealtAnewWhenRanksComeAndGo() throws Exception {
    try (MeshJob job =
        new MeshJob(models, out.resolve("shared"), settings("parallel.sharding=zero3"))) {
      List<RankTask> three = job.newTasks(3);
      new Generation(1, three).stopAfterStep(2).run(-1);
      List<RankTask> two = List.of(three.get(2), three.get(0));
      new Generation(2, two).handOverAfterStep(4).run(0);
      List<RankTask> one = List.of(three.get(0));
      Generation alone = new Generation(3, one).handOverAfterStep(6);
      alone.run(0);
      assertEquals(5, alone.started.getFirst(), "what the other had was mirrored");
      List<RankTask> more = job.newTasks(2);
      more.addAll(one);
      MeshJob.Run run = job.completed(new Generation(4, more).run(2));
      assertEquals(alone(1, settings()).sha256(), run.sha256());
    }
  }

  @Test
  void stagesDealTheirSharesAnewWhenCopiesComeAndGo() throws Exception {
    String[] stages = settings("parallel.sharding=zero3", "parallel.pipeline=2");
    try (MeshJob job = new MeshJob(models, out.resolve("shared"), stages)) {
      List<RankTask> four = job.newTasks(4);
      new Generation(1, four).stopAfterStep(2).run(-1);
      // The second copy's first stage is lost, whose share the second's has as well.
      List<RankTask> three = List.of(four.get(3), four.get(0), four.get(1));
      new Generation(2, three.subList(0, 2)).handOverAfterStep(4).run(0);
      List<RankTask> more = job.newTasks(2);
      more.addAll(three.subList(0, 2));
      MeshJob.Run run = job.completed(new Generation(3, more).run(2));
      assertEquals(alone(1, settings()).sha256(), run.sha256());
    }
  }

  @Test
  void aCheckpointOfSharesIsReadByAnyLayout() throws Exception {
    MeshJob.Run alone = alone(1, settings());
    Path folder = out.resolve("moving");
    try (MeshJob job = new MeshJob(models, folder, settings("parallel.sharding=zero3"))) {
      new Generation(1, job.newTasks(2)).stopAfterStep(4).run(-1);
    }
    try (MeshJob job =
        new MeshJob(models, folder, settings("parallel.pipeline=2", "parallel.sharding=zero3"))) {
      Generation second = new Generation(2, job.newTasks(4)).stopAfterStep(7);
      second.run(-1);
      assertEquals(3, second.started.getFirst());
    }
    try (MeshJob job =
        new MeshJob(models, folder, settings("parallel.sharding=zero3", "parallel.mirror=false"))) {
      Generation last = new Generation(3, job.newTasks(3));
      MeshJob.Run run = job.completed(last.run(-1));
      assertEquals(6, last.started.getFirst());
      assertEquals(alone.sha256(), run.sha256());
      assertArrayEquals(alone.losses(), run.losses());
    }
  }

  @ParameterizedTest
  @CsvSource({"none, zero3, 3", "none, zero1, 2", "lora, zero2, 2"})
  void aCheckpointOfSharesIsTheFileThatOneRankWrites(String adapter, String sharding, int ranks)
      throws Exception {
    String[] settings = settings("adapter.type=" + adapter);
    Path alone = out.resolve("alone");
    try (MeshJob job = new MeshJob(models, alone, settings)) {
      new Generation(1, job.newTasks(1)).stopAfterStep(4).run(-1);
    }
    Path shared = out.resolve("shared");
    try (MeshJob job =
        new MeshJob(models, shared, with(settings, "parallel.sharding=" + sharding))) {
      new Generation(1, job.newTasks(ranks)).stopAfterStep(4).run(-1);
    }
    String state = "step-3/state.safetensors";
    assertEquals(-1, Files.mismatch(alone.resolve(state), shared.resolve(state)));
  }

  @Test
  void aRankThatIsLostWhileACheckpointIsWrittenLeavesTheOneBefore() throws Exception {
    Path folder = out.resolve("shared");
    String[] shared = settings("parallel.sharding=zero3");
    try (MeshJob job = new MeshJob(models, folder, shared)) {
      // It is lost before it has lent its part of the state.
      Generation first = new Generation(1, job.newTasks(2)).loseAfterStep(6, 1).run(-1);
      assertTrue(
          first.notes.stream()
              .anyMatch(note -> note.startsWith("The checkpoint of step 6 was given up: ")),
          first.notes.toString());
    }
    assertFalse(Files.exists(folder.resolve("step-6")));
    try (MeshJob job = new MeshJob(models, folder, shared)) {
      Generation second = new Generation(2, job.newTasks(2));
      MeshJob.Run run = job.completed(second.run(-1));
      assertEquals(3, second.started.getFirst());
      assertEquals(alone(1, settings()).sha256(), run.sha256());
    }
  }

  /** A pipeline's last bits are its own only where the head is another stage's embedding. */
  private MeshJob.Run unshared(String model, int tensor, int stages, int chunks, String... settings)
      throws Exception {
    return !isTied(model) || stages == 1
        ? alone(tensor, settings)
        : alone(
            tensor * stages,
            with(settings, "parallel.pipeline=" + stages, "parallel.interleave=" + chunks));
  }

  private static boolean isTied(String model) {
    return model.equals("qwen3") || model.equals("gemma2");
  }

  /**
   * @param ranks that hold one copy between them
   */
  private MeshJob.Run alone(int ranks, String... settings) throws Exception {
    String key = String.join(" ", settings);
    MeshJob.Run run = ALONE.get(key);
    if (run == null) {
      run = new MeshJob(models, out.resolve("alone " + key.hashCode()), settings).run(ranks);
      ALONE.put(key, run);
    }
    return run;
  }

  private static String[] settings(String... more) {
    return with(
        new String[] {
          "adapter.type=none", "training.reduction=exact", "training.learning_rate=0.001"
        },
        more);
  }

  private static String[] with(String[] settings, String... more) {
    List<String> all = new ArrayList<>(List.of(settings));
    all.addAll(Arrays.asList(more));
    return all.toArray(String[]::new);
  }

  private static void close(double[] expected, double[] actual, double tolerance) {
    assertEquals(MeshJob.STEPS, actual.length);
    for (int i = 0; i < expected.length; i++) {
      assertEquals(expected[i], actual[i], tolerance * expected[i], "step " + (i + 1));
    }
  }
}
