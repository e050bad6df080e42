package org.ftcluster.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.stream.LongStream;
import org.ftcluster.cli.console.Json;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A coordinator's process is killed, and started again. */
class CoordinatorLossTest {
  private static final int STEPS = 150;

  @TempDir private Path folder;

  @Test
  void trainingGoesOnWithoutItAndNothingThatWasAcknowledgedIsLost() throws Exception {
    SampleJob sample = SampleJob.in(folder);
    String address = LiveCluster.freeAddress();
    String[] data = {"--data-dir", folder.resolve("data").toString()};
    try (LiveCluster cluster = new LiveCluster(folder, address)) {
      LiveCommand coordinator = cluster.startCoordinator(address, data);
      cluster.startWorker().awaitEvent("ready");
      cluster.startWorker().awaitEvent("ready");
      String job =
          cluster.submit(
              sample,
              "training.max_steps=" + STEPS,
              "training.global_batch_size=6",
              "training.micro_batch_size=2",
              "elastic.min_workers=2",
              "checkpoint.path=out");
      LiveCommand watch = cluster.watch(job);
      long before = watch.await(LiveCluster::isStep).path("step").asLong();

      // The kill comes while submissions are written.
      List<String> acknowledged = new ArrayList<>();
      CompletableFuture<Void> kill =
          CompletableFuture.runAsync(
              () -> {
                try {
                  Thread.sleep(500);
                  LiveCluster.signal("KILL", coordinator);
                } catch (Exception e) {
                  throw new IllegalStateException(e);
                }
              });
      Cli.Result submitted = submitWaiting(cluster, sample);
      while (submitted.exitCode() == 0) {
        acknowledged.add(Json.parse(submitted.out()).path("job").asText());
        submitted = submitWaiting(cluster, sample);
      }
      kill.join();
      assertEquals(3, submitted.exitCode(), submitted.err());
      cluster.startCoordinator(address, data);

      JsonNode heard =
          watch.await(line -> LiveCluster.isStep(line) && line.path("step").asLong() > before);
      assertEquals(1, heard.path("generation").asLong(), "the same generation goes on");
      JsonNode result = watch.await(LiveCluster::isResult);
      assertEquals("SUCCEEDED", result.path("state").asText());
      assertEquals(1, result.path("generations").asLong());
      assertEquals(
          LongStream.rangeClosed(1, STEPS).boxed().toList(),
          cluster.column("out", "metrics.jsonl", "step"));
      assertEquals(Set.of(1L), Set.copyOf(cluster.column("out", "metrics.jsonl", "generation")));
      List<String> known =
          cluster.lines("jobs").stream().map(line -> line.path("job").asText()).toList();
      assertFalse(acknowledged.isEmpty());
      assertTrue(known.containsAll(acknowledged), known + " lacks some of " + acknowledged);
    }
  }

  /** A job that there are never enough workers for. */
  private static Cli.Result submitWaiting(LiveCluster cluster, SampleJob sample) {
    return cluster.trySubmit(sample, "elastic.min_workers=8", "checkpoint.path=waiting");
  }
}
