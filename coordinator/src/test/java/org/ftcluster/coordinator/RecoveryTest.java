package org.ftcluster.coordinator;

import static org.ftcluster.coordinator.TestCluster.jobYaml;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.stream.LongStream;
import org.ftcluster.protocol.api.JobSummary;
import org.ftcluster.protocol.api.JobUpdate;
import org.ftcluster.protocol.api.ListJobsRequest;
import org.ftcluster.protocol.api.NodeInfo;
import org.ftcluster.protocol.api.StepMetrics;
import org.ftcluster.worker.rank.WorkerNode;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Workers and coordinators that go, and jobs that go on. */
class RecoveryTest {
  @TempDir Path dataDir;

  @Test
  void aJobGoesOnWithoutAWorkerThatLeft() {
    try (TestCluster cluster = new TestCluster(dataDir, 1)) {
      WorkerNode leaving = cluster.addWorker();
      cluster.awaitWorkers(2);
      String job = cluster.submit(jobYaml("shrink", 60, 1, 2));
      List<JobUpdate> updates = new ArrayList<>();
      for (Iterator<JobUpdate> watched = cluster.watch(job); watched.hasNext(); ) {
        JobUpdate update = watched.next();
        updates.add(update);
        if (update.hasStep() && update.getStep().getStep() == 10) {
          cluster.removeWorker(leaving);
        }
      }
      assertEquals("SUCCEEDED", updates.getLast().getJob().getState());
      assertTrue(updates.stream().anyMatch(u -> u.getJob().getState().equals("RECOVERING")));
      assertEquals(2, updates.getLast().getResult().getGenerations());
      assertEquals(
          1, updates.stream().filter(JobUpdate::hasStep).toList().getLast().getStep().getWorkers());
      assertStepsIncrease(updates);
    }
  }

  @Test
  void aWorkerThatJoinsIsUsedAndNoStepIsLostOrRepeated() {
    try (TestCluster cluster = new TestCluster(dataDir, 1)) {
      String job = cluster.submit(jobYaml("grow", 150, 1, 2));
      List<JobUpdate> updates = new ArrayList<>();
      for (Iterator<JobUpdate> watched = cluster.watch(job); watched.hasNext(); ) {
        JobUpdate update = watched.next();
        updates.add(update);
        if (update.hasStep() && update.getStep().getStep() == 3) {
          cluster.addWorker();
        }
      }
      List<StepMetrics> steps =
          updates.stream().filter(JobUpdate::hasStep).map(JobUpdate::getStep).toList();
      assertEquals(
          LongStream.rangeClosed(1, 150).boxed().toList(),
          steps.stream().map(StepMetrics::getStep).toList());
      assertEquals(1, steps.getFirst().getWorkers());
      assertEquals(2, steps.getLast().getWorkers());
      assertEquals(2, updates.getLast().getResult().getGenerations());
    }
  }

  @Test
  void aDrainedWorkerHandsOverLeavesAndCostsNoStep() throws Exception {
    try (TestCluster cluster = new TestCluster(dataDir, 2)) {
      String job = cluster.submit(jobYaml("drain", 150, 1, 2));
      List<JobUpdate> updates = new ArrayList<>();
      for (Iterator<JobUpdate> watched = cluster.watch(job); watched.hasNext(); ) {
        JobUpdate update = watched.next();
        updates.add(update);
        if (update.hasStep() && update.getStep().getStep() == 10) {
          NodeInfo drained = cluster.drain(cluster.anyWorker());
          assertEquals("DRAINING", drained.getState());
        }
      }
      assertEquals(
          LongStream.rangeClosed(1, 150).boxed().toList(),
          updates.stream().filter(JobUpdate::hasStep).map(u -> u.getStep().getStep()).toList());
      assertEquals(2, updates.getLast().getResult().getGenerations());
      assertTrue(
          updates.stream().anyMatch(u -> u.getNote().contains("leaves: someone asked for it")));
      cluster.awaitWorkersLeft(1);
      StatusRuntimeException refused =
          assertThrows(StatusRuntimeException.class, () -> cluster.drain("nobody:1"));
      assertEquals(Status.Code.NOT_FOUND, refused.getStatus().getCode());
    }
  }

  @Test
  void aJobIsScaledDownAndUpAgain() {
    try (TestCluster cluster = new TestCluster(dataDir, 2)) {
      String job = cluster.submit(jobYaml("scale", 100_000, 1, 2));
      cluster.watchUntil(job, u -> u.hasStep() && u.getStep().getWorkers() == 2);
      assertEquals(1, cluster.scale(job, 1).getMaxWorkers());
      cluster.watchUntil(job, u -> u.hasStep() && u.getStep().getWorkers() == 1);
      assertEquals(2, cluster.scale(job, 2).getMaxWorkers());
      JobUpdate grown = cluster.watchUntil(job, u -> u.hasStep() && u.getStep().getWorkers() == 2);
      assertEquals(3, grown.getStep().getGeneration());
      StatusRuntimeException refused =
          assertThrows(StatusRuntimeException.class, () -> cluster.scale(job, 3));
      assertEquals(Status.Code.INVALID_ARGUMENT, refused.getStatus().getCode());
    }
  }

  @Test
  void aRestartedCoordinatorKnowsItsJobsAndTheyGoOn() {
    try (TestCluster cluster = new TestCluster(dataDir, 1)) {
      String done = cluster.submit(jobYaml("done", 1, 1, 1));
      cluster.watchToTheEnd(done);
      String running = cluster.submit(jobYaml("running", 1_000, 1, 1));
      String waiting = cluster.submit(jobYaml("waiting", 1, 1, 1));
      JobUpdate before =
          cluster.watchUntil(running, u -> u.hasStep() && u.getStep().getStep() >= 5);

      cluster.stopCoordinator();
      cluster.startCoordinator();
      List<JobSummary> jobs =
          cluster.client().listJobs(ListJobsRequest.getDefaultInstance()).getJobsList();
      assertEquals(List.of(done, running, waiting), jobs.stream().map(JobSummary::getJob).toList());
      assertEquals("SUCCEEDED", jobs.getFirst().getState());
      assertEquals("/a", cluster.watchToTheEnd(done).getFirst().getResult().getAdapter());

      // The worker went on counting while there was no coordinator, and does in the same
      // generation.
      JobUpdate after = cluster.watchUntil(running, JobUpdate::hasStep);
      assertTrue(after.getStep().getStep() > before.getStep().getStep());
      assertEquals(1, after.getStep().getGeneration());
      assertEquals("RUNNING", after.getJob().getState());
    }
  }

  @Test
  void whatHappenedWhileNoCoordinatorWasThereIsHeardOfAfterwards() throws Exception {
    try (TestCluster cluster = new TestCluster(dataDir, 2)) {
      String job = cluster.submit(jobYaml("alone", 50, 2, 2));
      cluster.watchUntil(job, JobUpdate::hasStep);
      cluster.stopCoordinator();
      Thread.sleep(2_000); // it ends meanwhile
      cluster.startCoordinator();
      List<JobUpdate> updates = cluster.watchToTheEnd(job);
      assertEquals("SUCCEEDED", updates.getLast().getJob().getState());
      assertEquals(1, updates.getLast().getResult().getGenerations());
    }
  }

  /** Steps made while the coordinator begins a new generation aren't heard of. */
  private static void assertStepsIncrease(List<JobUpdate> updates) {
    long last = 0;
    for (JobUpdate update : updates) {
      if (update.hasStep()) {
        assertTrue(update.getStep().getStep() > last, () -> "after " + updates);
        last = update.getStep().getStep();
      }
    }
    assertEquals(60, last);
  }
}
