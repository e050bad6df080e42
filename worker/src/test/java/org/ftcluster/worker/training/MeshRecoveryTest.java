package org.ftcluster.worker.training;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/** Ranks of a mesh come and go; what is learned is what it would have been. */
class MeshRecoveryTest {
  @TempDir static Path models;
  private static final Map<String, String> UNDISTURBED = new HashMap<>();

  @TempDir Path out;

  @BeforeAll
  static void writeModels() throws IOException {
    MeshJob.writeFiles(models);
  }

  static Stream<Arguments> meshes() {
    return IntStream.range(0, MeshCase.ALL.size())
        .mapToObj(i -> Arguments.of(i % 2 == 0 ? "llama" : "qwen3", MeshCase.ALL.get(i)));
  }

  @ParameterizedTest
  @MethodSource("meshes")
  void aMeshThatLosesARankInAStepGoesOnFromMemory(String model, MeshCase mesh) throws Exception {
    String[] settings = mesh.settings("model.path=" + models.resolve(model));
    try (MeshJob job = new MeshJob(models, out.resolve("disturbed"), settings)) {
      List<RankTask> first = job.newTasks(mesh.ranks());
      Generation disturbed = new Generation(1, first).loseAfterStep(4, 1).run(-1);
      // A newcomer, and the survivors in other places than they had.
      List<RankTask> second = new ArrayList<>(first);
      second.remove(1);
      second.add(job.newTask());
      Collections.reverse(second);
      RankTask newest = Collections.max(second, Comparator.comparingLong(RankTask::completedStep));
      long step = newest.completedStep();
      assertTrue(step >= 4, () -> "ranks ended with " + disturbed.failures);
      Generation last = new Generation(2, second);
      MeshJob.Run run = job.completed(last.run(second.indexOf(newest)));

      assertEquals(step, last.started.getFirst(), "no step is lost");
      assertEquals(undisturbed(model, mesh.tensor()), run.sha256());
    }
  }

  /** Copies, stages and shares change no bit; slices do. */
  private String undisturbed(String model, int tensor) throws Exception {
    String key = model + " " + tensor;
    String sha256 = UNDISTURBED.get(key);
    if (sha256 == null) {
      String[] job = {"model.path=" + models.resolve(model), "parallel.tensor=" + tensor};
      sha256 = new MeshJob(models, out.resolve("undisturbed"), job).run(tensor).sha256();
      UNDISTURBED.put(key, sha256);
    }
    return sha256;
  }

  @Test
  void aSurvivorGoesOnWithNewcomersInAnotherPlace() throws Exception {
    int ranks = 4;
    String[] mesh = {"parallel.tensor=2", "parallel.pipeline=2"};
    MeshJob.Run undisturbed = new MeshJob(models, out.resolve("undisturbed"), mesh).run(ranks);

    try (MeshJob job = new MeshJob(models, out.resolve("disturbed"), mesh)) {
      List<RankTask> first = job.newTasks(ranks);
      new Generation(1, first).stopAfterStep(4).run(-1);
      // All but the first are gone, and the first one is now the last.
      List<RankTask> second = job.newTasks(ranks - 1);
      second.add(first.getFirst());
      Generation last = new Generation(2, second);
      MeshJob.Run run = job.completed(last.run(ranks - 1));

      assertEquals(4, last.started.getFirst(), "from memory, not from the checkpoint of step 3");
      assertEquals(undisturbed.sha256(), run.sha256());
      assertArrayEquals(undisturbed.losses(), run.losses());
      assertEquals(undisturbed.evalLossAfter(), run.evalLossAfter());
    }
  }

  @Test
  void copiesComeAndGoWithTheSameBits() throws Exception {
    String mesh = "parallel.tensor=2";
    MeshJob.Run undisturbed = new MeshJob(models, out.resolve("undisturbed"), mesh).run(2);

    try (MeshJob job = new MeshJob(models, out.resolve("elastic"), mesh)) {
      List<RankTask> four = job.newTasks(4);
      new Generation(1, four).stopAfterStep(3).run(-1);
      // The second slice of the first copy and the first one of the second are left.
      List<RankTask> two = List.of(four.get(2), four.get(1));
      new Generation(2, two).stopAfterStep(6).run(0);
      List<RankTask> again = job.newTasks(2);
      again.addAll(0, two);
      assertEquals(undisturbed.sha256(), job.completed(new Generation(3, again).run(0)).sha256());
    }
  }

  @Test
  void sharesAreDealtAnewWhenCopiesComeAndGo() throws Exception {
    MeshJob.Run alone = new MeshJob(models, out.resolve("alone")).run(1);

    try (MeshJob job = new MeshJob(models, out.resolve("shared"), "parallel.sharding=zero3")) {
      List<RankTask> workers = job.newTasks(3);
      new Generation(1, workers).stopAfterStep(4).run(-1);
      List<RankTask> left = List.of(workers.get(2), workers.get(0));
      new Generation(2, left).handOverAfterStep(7).run(0);
      List<RankTask> more = job.newTasks(2);
      more.addAll(left);
      assertEquals(alone.sha256(), job.completed(new Generation(3, more).run(2)).sha256());
    }
  }

  @Test
  void aCheckpointOfOneLayoutIsReadByAnyOther() throws Exception {
    MeshJob.Run alone = new MeshJob(models, out.resolve("alone")).run(1);

    Path folder = out.resolve("moving");
    try (MeshJob job = new MeshJob(models, folder, "parallel.pipeline=2")) {
      new Generation(1, job.newTasks(2)).stopAfterStep(4).run(-1);
    }
    try (MeshJob job = new MeshJob(models, folder, "parallel.pipeline=4")) {
      Generation second = new Generation(2, job.newTasks(4)).stopAfterStep(7);
      second.run(-1);
      assertEquals(3, second.started.getFirst());
    }
    try (MeshJob job = new MeshJob(models, folder)) {
      Generation last = new Generation(3, job.newTasks(1));
      MeshJob.Run run = job.completed(last.run(-1));
      assertEquals(6, last.started.getFirst());
      assertEquals(alone.sha256(), run.sha256());
      assertArrayEquals(alone.losses(), run.losses());
    }
  }

  @ParameterizedTest
  @CsvSource({"zero1, 1", "zero2, 2"})
  void whatALostRankHeldIsAtItsNeighbour(String sharding, int tensor) throws Exception {
    String[] mesh = {"parallel.sharding=" + sharding, "parallel.tensor=" + tensor};
    MeshJob.Run whole =
        new MeshJob(models, out.resolve("whole"), "parallel.tensor=" + tensor).run(tensor);

    try (MeshJob job = new MeshJob(models, out.resolve("shared"), mesh)) {
      List<RankTask> first = job.newTasks(4);
      new Generation(1, first).stopAfterStep(4).run(-1);
      // Rank 1 is lost, and nobody comes instead; later two do.
      List<RankTask> left = job.newTasks(tensor - 1);
      left.addAll(List.of(first.get(3), first.get(0), first.get(2)));
      Generation second = new Generation(2, left).handOverAfterStep(7);
      second.run(tensor);
      assertEquals(4, second.started.getFirst(), "from memory, not from the checkpoint of step 3");
      List<RankTask> more = job.newTasks(tensor == 1 ? 1 : 2);
      more.addAll(left.subList(0, 2));
      Generation last = new Generation(3, more);
      assertEquals(whole.sha256(), job.completed(last.run(more.size() - 1)).sha256());
      assertEquals(second.handedOver.getFirst(), last.started.getFirst(), "saved when handed over");
    }
  }

  @ParameterizedTest
  @CsvSource({"zero2, lora", "zero3, none"})
  void aGroupThatIsLostCostsNoStep(String sharding, String adapter) throws Exception {
    String[] settings = {
      "adapter.type=" + adapter, "training.reduction=exact", "training.learning_rate=0.001"
    };
    MeshJob.Run alone = new MeshJob(models, out.resolve("alone"), settings).run(1);
    List<String> groups = new ArrayList<>(List.of(settings));
    groups.addAll(List.of("parallel.sharding=" + sharding, "parallel.sharding_group=2"));
    try (MeshJob job = new MeshJob(models, out.resolve("hybrid"), groups.toArray(String[]::new))) {
      List<RankTask> first = job.newTasks(4);
      // What is left may not have heard of the last step, but has the one before.
      new Generation(1, first).loseAfterStep(5, 1).run(-1);
      // The second group is left, and one comes: three share everything; then they are four again.
      List<RankTask> left = job.newTasks(1);
      left.addAll(first.subList(2, 4));
      long step = left.stream().mapToLong(RankTask::completedStep).max().orElseThrow();
      int source = left.get(1).completedStep() == step ? 1 : 2;
      Generation second = new Generation(2, left).handOverAfterStep(7);
      second.run(source);
      assertTrue(step >= 4);
      assertEquals(step, second.started.getFirst(), "from memory, not from a checkpoint");
      List<RankTask> more = job.newTasks(1);
      more.addAll(left);
      MeshJob.Run run = job.completed(new Generation(3, more).run(1));
      assertEquals(alone.sha256(), run.sha256());
    }
  }

  @Test
  void neighboursThatAreLostTogetherCostTheStepsSinceTheCheckpoint() throws Exception {
    MeshJob.Run alone = new MeshJob(models, out.resolve("alone")).run(1);
    String[] mesh = {"parallel.sharding=zero2"};
    try (MeshJob job = new MeshJob(models, out.resolve("shared"), mesh)) {
      List<RankTask> first = job.newTasks(3);
      new Generation(1, first).stopAfterStep(5).run(-1);
      Generation second = new Generation(2, first.subList(1, 2));
      MeshJob.Run run = job.completed(second.run(0));
      assertEquals(3, second.started.getFirst());
      assertEquals(alone.sha256(), run.sha256());
      assertArrayEquals(alone.losses(), run.losses());
    }
  }
}
