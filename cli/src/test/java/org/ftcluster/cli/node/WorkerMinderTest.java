package org.ftcluster.cli.node;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.ftcluster.cli.console.CommandException;
import org.ftcluster.cli.console.Console;
import org.ftcluster.cli.console.ExitCode;
import org.ftcluster.cli.jvm.FakeNode;
import org.ftcluster.cli.jvm.Launch;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Which processes are started again, and how all of them end. */
class WorkerMinderTest {
  private static final Duration SOON = Duration.ofMinutes(2);

  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();
  private final Console console = new Console(new PrintWriter(out), new PrintWriter(err), true);

  @TempDir private Path folder;

  @Test
  void whoCrashesIsStartedAgainAndWhoLeavesIsNot() {
    try (WorkerMinder minder = new WorkerMinder(console, SOON)) {
      mind(minder, worker("a", "crash-once", folder.resolve("a").toString()));
    }

    assertEquals("{\"event\":\"ready\",\"try\":2}\n", out.toString());
    assertEquals(
        List.of(
            "Process a ended: it was killed by signal 6. Starting it again in 1 s.",
            "Process a has left."),
        err.toString().lines().toList());
  }

  @Test
  void oneThatRefusesEndsThemAll() throws Exception {
    CommandException e;
    try (WorkerMinder minder = new WorkerMinder(console, SOON)) {
      e =
          assertThrows(
              CommandException.class,
              () -> mind(minder, worker("a", "deaf"), worker("b", "refuse")));
      assertTrue(minder.end());
    }

    assertEquals(ExitCode.BAD_REQUEST, e.exitCode());
    assertEquals("process b did not start: port 7 is in use", e.getMessage());
    assertEquals("", err.toString());
  }

  @Test
  void oneThatDoesNotHandOverInTimeIsKilledAndNamed() throws Exception {
    try (WorkerMinder minder = new WorkerMinder(console, Duration.ofSeconds(1))) {
      Thread minding = Thread.startVirtualThread(() -> mind(minder, worker("a", "stay")));
      assertTimeoutPreemptively(SOON, this::awaitReady);

      assertFalse(minder.end());
      assertTrue(minding.join(SOON));
    }

    assertEquals(
        "Process a did not leave in order: it is still there after 1 s.\n", err.toString());
  }

  @Test
  void whatAnExitCodeSays() {
    List.of(0, 129, 130, 143).forEach(code -> assertEquals(Ending.LEFT, Ending.of(code)));
    assertEquals(Ending.REFUSED, Ending.of(2));
    List.of(1, 3, 134, 137, 139).forEach(code -> assertEquals(Ending.LOST, Ending.of(code)));
  }

  private void awaitReady() throws InterruptedException {
    while (out.toString().isEmpty()) {
      Thread.sleep(20);
    }
  }

  private static void mind(WorkerMinder minder, Launch... workers) {
    assertTimeoutPreemptively(SOON, () -> minder.mind(List.of(workers)));
  }

  private static Launch worker(String name, String... behaviour) {
    return new Launch(
        name,
        FakeNode.class.getName(),
        List.of("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"),
        List.of(behaviour),
        Map.of(),
        null);
  }
}
