package org.ftcluster.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code worker --gpus}, whose workers are real processes; they needn't find their GPUs. */
class MindedWorkersIT {
  private static final Map<String, String> SEEN = Map.of("CUDA_VISIBLE_DEVICES", "5,7");

  @TempDir private Path folder;

  @Test
  void eachGpuHasAWorkerThatComesBackAndHandsOverWhenItIsTold() throws Exception {
    String coordinator = LiveCluster.freeAddress();
    try (LiveCluster cluster = new LiveCluster(folder, coordinator)) {
      LiveCommand minder = cluster.startWorker(SEEN, "--gpus", "0,1");
      cluster.startCoordinator(coordinator, "--data-dir", folder.resolve("data").toString());
      Map<String, Long> first = new TreeMap<>();
      while (first.size() < 2) {
        JsonNode ready = minder.awaitEvent("ready");
        first.put(ready.path("device").asText(), ready.path("pid").asLong());
      }

      assertEquals(Set.of("cuda:5", "cuda:7"), first.keySet());
      assertEquals(first.entrySet(), awaitWorkers(cluster, Set.copyOf(first.values())).entrySet());
      assertEquals("5", visibleGpus(first.get("cuda:5")));
      assertEquals("7", visibleGpus(first.get("cuda:7")));

      assertTrue(ProcessHandle.of(first.get("cuda:5")).orElseThrow().destroyForcibly());
      JsonNode again = minder.awaitEvent("ready");
      assertEquals("cuda:5", again.path("device").asText());
      long pid = again.path("pid").asLong();
      assertNotEquals(first.get("cuda:5"), pid);
      awaitWorkers(cluster, Set.of(pid, first.get("cuda:7")));

      LiveCluster.signal("TERM", minder);
      assertEquals(143, minder.exitCode());
      for (long worker : List.of(pid, first.get("cuda:7"))) {
        assertTrue(ProcessHandle.of(worker).isEmpty(), "worker " + worker + " is still there");
      }
      assertEquals(3, minder.lines().size(), minder.lines().toString());
    }
  }

  /** Devices and processes of a cluster's workers, once they are these processes. */
  private static Map<String, Long> awaitWorkers(LiveCluster cluster, Set<Long> pids)
      throws Exception {
    Map<String, Long> workers = new TreeMap<>();
    long deadline = System.nanoTime() + 60_000_000_000L;
    while (!new TreeSet<>(workers.values()).equals(new TreeSet<>(pids))) {
      assertTrue(System.nanoTime() < deadline, "workers are " + workers);
      Thread.sleep(100);
      workers.clear();
      for (JsonNode node : cluster.lines("nodes")) {
        if (node.path("role").asText().equals("worker")) {
          workers.put(node.path("device").asText(), node.path("pid").asLong());
        }
      }
    }
    return workers;
  }

  private static String visibleGpus(long pid) throws Exception {
    String environment = Files.readString(Path.of("/proc", String.valueOf(pid), "environ"));
    String variable = "CUDA_VISIBLE_DEVICES=";
    return List.of(environment.split("\0")).stream()
        .filter(entry -> entry.startsWith(variable))
        .findFirst()
        .orElseThrow()
        .substring(variable.length());
  }
}
