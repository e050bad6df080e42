package org.ftcluster.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.ftcluster.cli.console.Json;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A cluster as its users build it: coordinator, worker and client commands, each by itself. */
class ClusterIT {
  @TempDir private Path folder;

  @Test
  void aWorkerWaitsForItsCoordinatorAndThenTakesJobs() throws Exception {
    SampleJob sample = SampleJob.in(folder);
    String address = "127.0.0.1:" + freePort();
    Path log = folder.resolve("nodes.log");
    try (LiveCommand worker = LiveCommand.start(log, "worker", "--coordinator", address);
        LiveCommand coordinator =
            LiveCommand.start(
                log,
                "coordinator",
                "--grpc",
                address,
                "--cluster-port",
                "0",
                "--data-dir",
                folder.resolve("data").toString())) {
      assertEquals(address, coordinator.awaitEvent("ready").path("grpc").asText());
      worker.awaitEvent("ready");

      Cli.Result submitted =
          client(address, "submit", sample.jobFile(), "--set", "training.max_steps=1");
      String job = Json.parse(submitted.out()).path("job").asText();
      Cli.Result watched = client(address, "watch", job);

      assertEquals(0, watched.exitCode(), watched.err());
      assertEquals("SUCCEEDED", last(watched).path("state").asText());
      JsonNode listed = last(client(address, "jobs"));
      assertEquals(job, listed.path("job").asText());
      assertEquals("SUCCEEDED", listed.path("state").asText());
      List<String> roles =
          client(address, "nodes").lines().stream().map(line -> parse(line, "role")).toList();
      assertEquals(List.of("coordinator", "worker"), roles);
      assertEquals(2, client(address, "cancel", "nonesuch").exitCode());
    }
  }

  @Test
  void aPortInUseIsAWrongRequest() throws IOException {
    try (ServerSocket taken = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      String address = "127.0.0.1:" + taken.getLocalPort();

      Cli.Result result =
          Cli.run(
              "coordinator",
              "--grpc",
              address,
              "--cluster-port",
              "0",
              "--data-dir",
              folder.toString());

      assertEquals(2, result.exitCode());
      assertTrue(result.err().contains("Port " + taken.getLocalPort()), result.err());
      assertFalse(result.err().contains("Exception"), result.err());
    }
  }

  @Test
  void otherMachinesReachANodeOnlyWhereThatWasAllowed() {
    Cli.Result result =
        Cli.run("coordinator", "--grpc", "0.0.0.0:0", "--data-dir", folder.toString());

    assertEquals(2, result.exitCode());
    assertTrue(result.err().contains("--insecure"), result.err());
  }

  private static Cli.Result client(String address, String... args) {
    List<String> all = new ArrayList<>(List.of(args));
    all.addAll(List.of("--json", "--coordinator", address));
    return Cli.run(all.toArray(String[]::new));
  }

  private static JsonNode last(Cli.Result result) throws IOException {
    return Json.parse(result.lines().getLast());
  }

  private static String parse(String line, String field) {
    try {
      return Json.parse(line).path(field).asText();
    } catch (IOException e) {
      throw new AssertionError(line, e);
    }
  }

  private static int freePort() throws IOException {
    try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      return socket.getLocalPort();
    }
  }
}
