package org.ftcluster.worker.training;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.job.JobSpec.Parallel;
import org.ftcluster.protocol.job.JobSpec.Sharding;
import org.ftcluster.protocol.job.JobSpecReader;
import org.ftcluster.protocol.job.JobSpecWriter;
import org.ftcluster.worker.parallel.Machine;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code parallel: auto}. */
class MeshChoiceTest {
  private static final long PLENTY = 1L << 40;

  private static final String[] SAVING_NOTHING = {
    "training.gradient_checkpointing=false",
    "offload.parameters=none",
    "offload.optimizer=none",
    "offload.activations=none"
  };

  @TempDir static Path models;
  private static Path llama;

  @BeforeAll
  static void writeModel() throws IOException {
    llama = TinyModel.llama(models.resolve("llama"));
  }

  @Test
  void whatFitsIntoOneWorkerIsCopied() {
    JobSpec job = job("parallel=auto");
    assertTrue(job.parallel().isOpen());
    assertEquals(new Parallel(0, 1, 1, 1, Sharding.NONE, 0, true), choose(job, 4, PLENTY));
  }

  @Test
  void whatDoesNotIsCutUntilItDoes() {
    JobSpec job = job("parallel=auto");
    long alone = need(choose(job, 1, PLENTY), 1);
    Parallel chosen = choose(job, 4, alone - 1);
    assertTrue(chosen.tensor() * chosen.pipeline() > 1 || chosen.sharding() != Sharding.NONE);
    assertTrue(need(chosen, 4) < alone);
  }

  @Test
  void whatAJobFixesStays() {
    JobSpec job = job("parallel=auto", "parallel.pipeline=2");
    assertEquals(2, choose(job, 4, PLENTY).pipeline());
    assertEquals(1, choose(job("parallel.tensor=auto", "parallel.data=1"), 4, PLENTY).data());
  }

  @Test
  void stagesMayShareOutAllWeights() {
    String[] full = {"adapter.type=none", "parallel.pipeline=2", "parallel.sharding=zero3"};
    JobSpec job = job("parallel.tensor=auto", full[0], full[1], full[2]);
    Parallel chosen = choose(job, 4, PLENTY);
    assertEquals(2, chosen.pipeline());
    assertEquals(Sharding.ZERO3, chosen.sharding());
  }

  @Test
  void memoryIsSavedBeforeAJobIsRefused() {
    long alone = need(choose(job("parallel=auto"), 1, PLENTY), 1);
    assertEquals(1, choose(job("parallel=auto"), 1, alone - 1).pipeline());
  }

  @Test
  void whatIsSharedOutStaysInsideANodeWhereLinksBetweenNodesAreSlow() {
    JobSpec job = job("parallel.pipeline=auto", "parallel.data=4", "parallel.sharding=zero3");
    Machine.Link near = new Machine.Link(1e10, 1e-6);
    Machine pairs = new Machine(1e11, 1e10, near, new Machine.Link(1e7, 1e-3), 2);
    Parallel chosen = new TrainingTaskFactory().chooseMesh(job, 4, PLENTY, pairs);
    assertEquals(new Parallel(4, 1, 1, 1, Sharding.ZERO3, 2, true), chosen);
    // Where all are near each other there is no reason to.
    Machine four = new Machine(1e11, 1e10, near, near, 4);
    assertEquals(0, new TrainingTaskFactory().chooseMesh(job, 4, PLENTY, four).shardingGroup());
    // Nor is there room, where only all together fit.
    long alone = need(chosen, 4);
    Parallel smaller = new TrainingTaskFactory().chooseMesh(job, 4, alone - 1, pairs);
    assertTrue(need(smaller, 4) < alone);
  }

  @Test
  void moreThanThereAreRefusedWithWhatWouldDo() {
    List<String> settings = new ArrayList<>(List.of(SAVING_NOTHING));
    settings.add("parallel=auto");
    JobSpec job = job(settings.toArray(String[]::new));
    long alone = need(choose(job, 1, PLENTY), 1);
    BadJobException e = assertThrows(BadJobException.class, () -> choose(job, 1, alone - 1));
    assertTrue(e.getMessage().contains("no layout on 1 worker fits into"), e.getMessage());
    assertTrue(e.getMessage().contains("on 2 workers would"), e.getMessage());
  }

  @Test
  void theNearestLayoutThatFitsIsNamed() {
    long alone = need(choose(job("parallel=auto"), 1, PLENTY), 1);
    String nearest =
        new TrainingTaskFactory().nearestMesh(job(SAVING_NOTHING), 4, alone - 1).orElseThrow();
    assertTrue(nearest.endsWith("on 2 workers"), nearest);
    assertTrue(new TrainingTaskFactory().nearestMesh(job(SAVING_NOTHING), 4, 1000).isEmpty());
  }

  @Test
  void aWorkerWantsNumbers() {
    BadJobException e =
        assertThrows(
            BadJobException.class,
            () -> JobSpecReader.resolved(JobSpecWriter.toYaml(job("parallel=auto"))));
    assertTrue(e.getMessage().contains("parallel.tensor is auto"), e.getMessage());
  }

  private static Parallel choose(JobSpec job, int workers, long memory) {
    return new TrainingTaskFactory().chooseMesh(job, workers, memory, Machine.CPU);
  }

  private static long need(Parallel mesh, int workers) {
    JobSpec job = job("elastic.min_workers=" + workers).withParallel(mesh);
    return new TrainingTaskFactory().plan(JobSpecWriter.toYaml(job), PLENTY).estimate().total();
  }

  private static JobSpec job(String... more) {
    return PlannedJob.of(llama, more);
  }
}
