package org.ftcluster.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A coordinator's process is killed, and started again. */
class CoordinatorLossIT {
  private static final int STEPS = 100;

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
              "out",
              "training.max_steps=" + STEPS,
              "training.global_batch_size=6",
              "training.micro_batch_size=2",
              "data.eval=null",
              "elastic.min_workers=2");
      LiveCommand watch = cluster.watch(job);
      long before = watch.await(LiveCluster::isStep).path("step").asLong();

      // The kill comes while submissions are written.
      List<String> acknowledged = new ArrayList<>();
      acknowledged.add(LiveCluster.job(cluster.submitWaiting(sample)));
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
      Cli.Result submitted = cluster.submitWaiting(sample);
      while (submitted.exitCode() == 0) {
        acknowledged.add(LiveCluster.job(submitted));
        submitted = cluster.submitWaiting(sample);
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
      List<String> known = cluster.jobs();
      assertTrue(known.containsAll(acknowledged), known + " lacks some of " + acknowledged);
    }
  }
}
