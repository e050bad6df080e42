package org.ftcluster.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.ftcluster.coordinator.journal.PostgresServer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Several coordinators on one database; the one that acts is killed, then paused. */
class CoordinatorsIT {
  private static final long PATIENCE_SECONDS = 60;
  private static final String[] JOB = {
    "training.max_steps=140",
    "training.global_batch_size=6",
    "training.micro_batch_size=2",
    "training.log_samples=true",
    "data.eval=null",
    "elastic.min_workers=2",
    "elastic.max_workers=2"
  };

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
      JsonNode expected =
          cluster.watch(cluster.submit(sample, "calm", JOB)).await(LiveCluster::isResult);

      // Any of them takes jobs, and knows the others.
      LiveCluster viaSecond = new LiveCluster(folder, second);
      String job = viaSecond.submit(sample, "rough", JOB);
      LiveCommand watch = cluster.watch(job);
      watch.await(LiveCluster::isStep);
      assertEquals(
          List.of("UP", "STANDBY"),
          viaSecond.lines("nodes").stream()
              .filter(node -> node.path("role").asText().equals("coordinator"))
              .map(node -> node.path("state").asText())
              .toList());

      List<String> acknowledged = new ArrayList<>();
      acknowledged.add(LiveCluster.job(cluster.submitWaiting(sample)));
      long killed = killInTheMiddleOfACommit(database, cluster, sample, acting);
      JsonNode heard =
          watch.await(
              line ->
                  LiveCluster.isResult(line)
                      || line.path("note").asText().contains("training went on meanwhile"));
      tellTime("another coordinator had the job %.1f s after the kill%n", killed);
      assertTrue(standby.handle().isAlive());

      // The one that was killed comes back, and has its turn when the other is paused.
      LiveCommand third = cluster.startCoordinator(first, shared);
      JsonNode result = LiveCluster.isResult(heard) ? heard : watch.await(LiveCluster::isResult);
      assertEquals(1, result.path("generations").asLong(), "no rank has noticed any of it");
      assertEquals(expected.path("adapter_sha256"), result.path("adapter_sha256"));
      assertEquals(cluster.file("calm", "samples.jsonl"), cluster.file("rough", "samples.jsonl"));
      LiveCluster.signal("STOP", standby);
      long paused = System.nanoTime();
      acknowledged.add(submitPatiently(cluster, sample));
      tellTime("another coordinator took a job %.1f s after the pause%n", paused);
      LiveCluster.signal("CONT", standby);
      assertEquals(1, standby.exitCode(), "it was relieved, and ends");
      List<String> known = cluster.jobs();
      assertTrue(known.containsAll(acknowledged), known + " lacks some of " + acknowledged);
      assertTrue(third.handle().isAlive());
    }
  }

  /**
   * Kills a coordinator whose transaction waits for the row of epochs, which every write looks at.
   *
   * @return when, in nanoseconds
   */
  private static long killInTheMiddleOfACommit(
      PostgresServer database, LiveCluster cluster, SampleJob sample, LiveCommand acting)
      throws Exception {
    try (Connection connection = database.store().connect();
        Statement statement = connection.createStatement()) {
      connection.setAutoCommit(false);
      statement.execute("SELECT number FROM coordinator_epoch WHERE id = 1 FOR UPDATE");
      CompletableFuture<Cli.Result> submission =
          CompletableFuture.supplyAsync(() -> cluster.submitWaiting(sample));
      awaitBlockedWrite(database);
      LiveCluster.signal("KILL", acting);
      long killed = System.nanoTime();
      connection.rollback();
      assertEquals(
          3,
          submission.get(PATIENCE_SECONDS, TimeUnit.SECONDS).exitCode(),
          "what isn't durable isn't acknowledged");
      return killed;
    }
  }

  /** No test depends on it. */
  private static void tellTime(String sentence, long sinceNs) {
    System.err.printf(sentence, (System.nanoTime() - sinceNs) / 1e9);
  }

  private static void awaitBlockedWrite(PostgresServer database)
      throws SQLException, InterruptedException {
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE_SECONDS);
    try (Connection connection = database.store().connect();
        Statement statement = connection.createStatement()) {
      while (true) {
        try (ResultSet blocked =
            statement.executeQuery(
                "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ILIKE 'insert%'")) {
          if (blocked.next()) {
            return;
          }
        }
        assertTrue(System.nanoTime() < deadline, "no coordinator writes");
        Thread.sleep(20);
      }
    }
  }

  /** Acknowledged after some tries. */
  private static String submitPatiently(LiveCluster cluster, SampleJob sample) throws IOException {
    for (int tries = 0; ; tries++) {
      Cli.Result submitted = cluster.submitWaiting(sample);
      if (submitted.exitCode() == 0) {
        return LiveCluster.job(submitted);
      }
      assertTrue(tries < 10, submitted.err());
    }
  }
}
