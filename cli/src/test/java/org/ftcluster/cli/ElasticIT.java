package org.ftcluster.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.file.Path;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A job on real processes that are killed, paused, told to go, and that join. */
class ElasticIT {
  private static final int STEPS = 150;
  private static final String[] JOB = {
    "training.max_steps=" + STEPS,
    "training.global_batch_size=6",
    "training.micro_batch_size=2",
    "training.log_samples=true",
    "data.eval=null"
  };

  @TempDir private Path folder;

  @Test
  void whateverHappensToWorkersTheAdapterAndTheSamplesAreTheSame() throws Exception {
    SampleJob sample = SampleJob.in(folder);
    String coordinator = LiveCluster.freeAddress();
    try (LiveCluster cluster = new LiveCluster(folder, coordinator)) {
      cluster.startCoordinator(coordinator, "--data-dir", folder.resolve("data").toString());
      LiveCommand first = cluster.startWorker();
      LiveCommand second = cluster.startWorker();
      first.awaitEvent("ready");
      second.awaitEvent("ready");
      JsonNode expected =
          cluster.watch(cluster.submit(sample, "calm", JOB)).await(LiveCluster::isResult);

      LiveCommand job = cluster.watch(cluster.submit(sample, "rough", JOB));
      LiveCluster.awaitWorkers(job, 2);
      LiveCluster.signal("STOP", second);
      JsonNode lost = job.await(line -> line.path("state").asText().equals("RECOVERING"));
      assertTrue(
          lost.path("reason").asText().matches(".*(no sign of life|doesn't answer|lost rank).*"),
          lost.toString());
      LiveCluster.awaitWorkers(job, 1);
      LiveCluster.signal("CONT", second);
      LiveCluster.awaitWorkers(job, 2);
      LiveCommand third = cluster.startWorker();
      LiveCluster.awaitWorkers(job, 3);
      LiveCluster.signal("KILL", first);
      LiveCluster.awaitWorkers(job, 2);
      long before = LiveCluster.awaitWorkers(job, 2).path("generation").asLong();
      LiveCluster.signal("TERM", second);
      JsonNode noted =
          job.await(line -> line.path("note").asText().contains("leaves: it was told to end"));
      JsonNode alone = LiveCluster.awaitWorkers(job, 1);
      assertEquals(before + 1, alone.path("generation").asLong(), noted.toString());
      JsonNode result = job.await(LiveCluster::isResult);

      assertTrue(second.handle().onExit().isDone() || second.exitCode() == 143);
      assertTrue(third.handle().isAlive());
      assertEquals("SUCCEEDED", result.path("state").asText());
      assertEquals(expected.path("adapter_sha256"), result.path("adapter_sha256"));
      assertEquals(cluster.file("calm", "samples.jsonl"), cluster.file("rough", "samples.jsonl"));
      assertEquals(
          LongStream.rangeClosed(1, STEPS).boxed().toList(),
          cluster.column("rough", "metrics.jsonl", "step"));
    }
  }
}
