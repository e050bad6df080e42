package org.ftcluster.coordinator;

import static org.ftcluster.coordinator.TestCluster.jobYaml;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import org.ftcluster.protocol.api.JobSummary;
import org.ftcluster.protocol.api.JobUpdate;
import org.ftcluster.protocol.api.ListJobsRequest;
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

      // The worker kept its count, and went on counting while there was no coordinator.
      JobUpdate after = cluster.watchUntil(running, JobUpdate::hasStep);
      assertTrue(after.getStep().getStep() > before.getStep().getStep());
      assertEquals(2, after.getStep().getGeneration());
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
