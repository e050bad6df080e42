package org.ftcluster.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What goes wrong inside a worker whose process, sockets and heartbeats go on. */
class RankFaultsIT {
  private static final String[] JOB = {
    "training.max_steps=80",
    "training.global_batch_size=6",
    "training.micro_batch_size=2",
    "training.log_samples=true",
    "data.eval=null",
    "elastic.max_workers=2"
  };

  @TempDir private Path folder;

  @Test
  void memoryThatRanOutAndARankThatHangsAreNamedAndChangeNothing() throws Exception {
    SampleJob sample = SampleJob.in(folder);
    String coordinator = LiveCluster.freeAddress();
    String debugged = LiveCluster.freeAddress();
    try (LiveCluster cluster = new LiveCluster(folder, coordinator)) {
      cluster.startCoordinator(coordinator, "--data-dir", folder.resolve("data").toString());
      LiveCommand victim =
          cluster.startWorker(
              Map.of(
                  "JAVA_TOOL_OPTIONS",
                  RankDebugger.flag(debugged) + " -Dftcluster.hang.floor.seconds=2"));
      victim.awaitEvent("ready");
      cluster.startWorker().awaitEvent("ready");
      JsonNode expected =
          cluster.watch(cluster.submit(sample, "calm", JOB)).await(LiveCluster::isResult);

      LiveCommand job = cluster.watch(cluster.submit(sample, "rough", JOB));
      LiveCluster.awaitWorkers(job, 2);
      RankDebugger debugger = RankDebugger.attach(debugged);
      debugger.exhaustMemory();
      awaitNamed("the worker is out of memory: Java heap space", job);
      LiveCluster.awaitWorkers(job, 2);
      debugger.hang();
      awaitNamed("the rank hangs: a micro-batch of step", job);
      assertEquals(1, victim.exitCode(), "a rank that can't be stopped ends its process");
      JsonNode result = job.await(LiveCluster::isResult);

      assertEquals("SUCCEEDED", result.path("state").asText());
      assertEquals(expected.path("adapter_sha256"), result.path("adapter_sha256"));
      assertEquals(cluster.file("calm", "samples.jsonl"), cluster.file("rough", "samples.jsonl"));
    }
  }

  /** Its peers may be the first to say that it has gone. */
  private static void awaitNamed(String what, LiveCommand job) throws InterruptedException {
    job.await(
        line ->
            line.path("reason").asText().contains(what)
                || line.path("note").asText().contains(what));
  }
}
