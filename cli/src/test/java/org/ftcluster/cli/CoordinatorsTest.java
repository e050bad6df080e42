package org.ftcluster.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.ftcluster.cli.console.Json;
import org.ftcluster.coordinator.journal.PostgresServer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Several coordinators on one database; the one that acts is killed, then paused. */
class CoordinatorsTest {
  private static final int STEPS = 100_000;

  @TempDir private Path folder;

  @Test
  void anotherActsWhereOneIsGoneAndNothingIsLost() throws Exception {
    SampleJob sample = SampleJob.in(folder);
    String first = LiveCluster.freeAddress();
    String second = LiveCluster.freeAddress();
    try (PostgresServer database = PostgresServer.start();
        LiveCluster cluster = new LiveCluster(folder, first + "," + second)) {
      String[] shared = {"--database", database.url() + "?user=" + database.user()};
      LiveCommand acting = cluster.startCoordinator(first, shared);
      LiveCommand standby = cluster.startCoordinator(second, shared);
      cluster.startWorker().awaitEvent("ready");
      cluster.startWorker().awaitEvent("ready");

      // Any of them takes jobs, and knows the others.
      LiveCluster viaSecond = new LiveCluster(folder, second);
      String job =
          viaSecond.submit(
              sample,
              "training.max_steps=" + STEPS,
              "training.global_batch_size=6",
              "training.micro_batch_size=2",
              "elastic.min_workers=2",
              "checkpoint.path=out");
      LiveCommand watch = cluster.watch(job);
      watch.await(LiveCluster::isStep);
      assertEquals(
          List.of("UP", "STANDBY"),
          viaSecond.lines("nodes").stream()
              .filter(node -> node.path("role").asText().equals("coordinator"))
              .map(node -> node.path("state").asText())
              .toList());

      long killed = System.nanoTime();
      LiveCluster.signal("KILL", acting);
      watch.await(
          line ->
              LiveCluster.isResult(line)
                  || line.path("note").asText().contains("training went on meanwhile"));
      System.err.printf(
          "another coordinator had the job %.1f s after the kill%n",
          (System.nanoTime() - killed) / 1e9);
      assertTrue(standby.handle().isAlive());

      // The one that was killed comes back, and has its turn when the other is paused.
      LiveCommand third = cluster.startCoordinator(first, shared);
      JsonNode step = watch.await(LiveCluster::isStep);
      assertEquals(1, step.path("generation").asLong(), "no rank has noticed any of it");
      assertEquals(0, cluster.client("cancel", job).exitCode());
      LiveCluster.signal("STOP", standby);
      String waiting = submitWaiting(cluster, sample);
      LiveCluster.signal("CONT", standby);
      assertEquals(1, standby.exitCode(), "it was relieved, and ends");
      List<String> jobs =
          cluster.lines("jobs").stream().map(line -> line.path("job").asText()).toList();
      assertTrue(jobs.containsAll(List.of(job, waiting)), jobs::toString);
      assertTrue(third.handle().isAlive());
    }
  }

  /** A job that there are never enough workers for; acknowledged after some tries. */
  private static String submitWaiting(LiveCluster cluster, SampleJob sample) throws IOException {
    for (int tries = 0; ; tries++) {
      Cli.Result submitted =
          cluster.trySubmit(sample, "elastic.min_workers=8", "checkpoint.path=waiting");
      if (submitted.exitCode() == 0) {
        return Json.parse(submitted.out()).path("job").asText();
      }
      assertTrue(tries < 10, submitted.err());
    }
  }
}
