package org.ftcluster.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.ftcluster.cli.console.Json;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A cluster whose members have keys: it works as any other, for members alone. */
class EncryptedClusterIT {
  private static final String TLS = "--tls";

  @TempDir private Path folder;

  @Test
  void membersTrainTogetherAndStrangersAreTurnedAway() throws Exception {
    SampleJob sample = SampleJob.in(folder);
    String ours = keys("ours");
    String theirs = keys("theirs");
    String address = LiveCluster.freeAddress();
    Path log = folder.resolve("nodes.log");
    String data = folder.resolve("data").toString();
    // Workers come only then: a call to a free port may take that very port for its own end.
    try (LiveCommand _ = startCoordinator(log, address, data, ours);
        LiveCommand one = LiveCommand.start(log, "worker", "--coordinator", address, TLS, ours);
        LiveCommand two = LiveCommand.start(log, "worker", "--coordinator", address, TLS, ours)) {
      one.awaitEvent("ready");
      two.awaitEvent("ready");

      assertRefused(3, address, client(address, "nodes"));
      assertRefused(2, address, client(address, "nodes", TLS, theirs));
      assertRefused(2, address, client(address, "worker", TLS, theirs));

      Cli.Result submitted =
          client(
              address,
              "submit",
              sample.jobFile(),
              "--set=training.max_steps=2",
              "--set=elastic.min_workers=2",
              TLS,
              ours);
      assertEquals(0, submitted.exitCode(), submitted.err());
      Cli.Result watched = client(address, "watch", LiveCluster.job(submitted), TLS, ours);
      assertEquals(0, watched.exitCode(), watched.err());
      assertEquals("SUCCEEDED", Json.parse(watched.lines().getLast()).path("state").asText());
    }
  }

  @Test
  void aCommandWithKeysTellsThatTheClusterHasNone() throws Exception {
    String ours = keys("ours");
    String address = LiveCluster.freeAddress();
    try (LiveCommand coordinator =
        LiveCommand.start(
            folder.resolve("nodes.log"),
            "coordinator",
            "--grpc=" + address,
            "--cluster-port=0",
            "--data-dir=" + folder.resolve("data"))) {
      coordinator.awaitEvent("ready");
      assertRefused(2, address, client(address, "nodes", TLS, ours));
    }
  }

  @Test
  void wrongKeysAreNamedBeforeAnythingStarts() {
    Cli.Result missing =
        Cli.run("coordinator", "--grpc=0.0.0.0:0", TLS, folder.resolve("none").toString());
    assertEquals(2, missing.exitCode());
    assertTrue(missing.err().contains("tls.crt can't be read"), missing.err());
    Cli.Result both = Cli.run("worker", TLS, keys("ours"), "--insecure");
    assertEquals(2, both.exitCode());
    assertTrue(both.err().contains("leave one of them out"), both.err());
    Cli.Result again = Cli.run("keys", folder.resolve("ours").toString());
    assertEquals(2, again.exitCode());
    assertTrue(again.err().contains("is not empty"), again.err());
  }

  /** Returns when it is ready. */
  private static LiveCommand startCoordinator(Path log, String address, String data, String keys)
      throws Exception {
    LiveCommand coordinator =
        LiveCommand.start(
            log,
            "coordinator",
            "--grpc=" + address,
            "--cluster-port=0",
            "--data-dir=" + data,
            TLS,
            keys);
    coordinator.awaitEvent("ready");
    return coordinator;
  }

  private String keys(String name) {
    String keys = folder.resolve(name).toString();
    Cli.Result made = Cli.run("keys", keys);
    assertEquals(0, made.exitCode(), made.err());
    return keys;
  }

  private static void assertRefused(int exitCode, String address, Cli.Result result) {
    assertEquals(exitCode, result.exitCode(), result.err());
    assertTrue(result.err().contains(TLS), result.err());
    assertTrue(result.err().contains(address), result.err());
    assertFalse(result.err().contains("Exception"), result.err());
  }

  private static Cli.Result client(String address, String... args) {
    List<String> all = new ArrayList<>(List.of(args));
    all.addAll(List.of("--json", "--coordinator", address));
    return Cli.run(all.toArray(String[]::new));
  }
}
