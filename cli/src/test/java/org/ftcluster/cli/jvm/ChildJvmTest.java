package org.ftcluster.cli.jvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.ftcluster.cli.console.CommandException;
import org.ftcluster.cli.console.ExitCode;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** How a child process tells that it is ready, or why not, and how it ends. */
class ChildJvmTest {
  private static final Duration SOON = Duration.ofMinutes(2);

  @TempDir private Path logs;

  @Test
  void aReadyChildSaysWhatItOffersAndEndsWithItsInput() {
    ChildJvm child = start("ready");

    assertEquals("127.0.0.1:7", child.awaitReady(SOON).path("grpc").asText());
    assertTrue(child.alive());
    child.close();
    assertFalse(child.alive());
    assertTrue(child.lastWords().endsWith("its exit code is 0"), child.lastWords());
  }

  @Test
  void aChildThatRefusesIsQuoted() {
    try (ChildJvm child = start("refuse")) {
      CommandException e = assertThrows(CommandException.class, () -> child.awaitReady(SOON));

      assertEquals(ExitCode.FAILED, e.exitCode());
      assertEquals(
          "process worker-1 did not start: port 7 is in use (its log is %s)"
              .formatted(logs.resolve("worker-1.log")),
          e.getMessage());
    }
  }

  @Test
  void aChildThatCrashesIsQuotedByTheLastLineOfItsLog() {
    try (ChildJvm child = start("crash")) {
      CommandException e = assertThrows(CommandException.class, () -> child.awaitReady(SOON));

      assertTrue(e.getMessage().contains("IllegalStateException: out of luck"), e.getMessage());
      assertTrue(e.getMessage().contains("its exit code is 1"), e.getMessage());
    }
  }

  @Test
  void aChildThatDoesNotListenIsKilled() {
    ChildJvm child = start("deaf");
    child.awaitReady(SOON);

    child.close();

    assertFalse(child.alive());
  }

  private ChildJvm start(String behaviour) {
    return ChildJvm.start(
        new Launch(
            "worker-1",
            FakeNode.class.getName(),
            List.of("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"),
            List.of(behaviour),
            Map.of(),
            logs));
  }
}
