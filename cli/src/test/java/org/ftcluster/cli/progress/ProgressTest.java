package org.ftcluster.cli.progress;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicReference;
import org.ftcluster.cli.console.Console;
import org.junit.jupiter.api.Test;

/** What people see of a running job. */
class ProgressTest {
  private static final Instant START = Instant.parse("2026-01-01T00:00:00Z");

  private final StringWriter err = new StringWriter();
  private final Console console =
      new Console(new PrintWriter(new StringWriter()), new PrintWriter(err), false);

  @Test
  void aLineSaysStepLossSpeedTimeLeftAndWorkers() {
    Progress progress = progress(48);

    assertEquals(
        "step 48 of 250  loss 0.2134  3,777 tokens/s  1:23 left  2 workers", progress.text());
    assertEquals("[####--------------------] " + progress.text(), progress.bar());
  }

  @Test
  void timesAreMinutesAndHours() {
    assertEquals("0:00", Progress.clock(Duration.ZERO));
    assertEquals("0:59", Progress.clock(Duration.ofMillis(59_400)));
    assertEquals("1:00", Progress.clock(Duration.ofMillis(59_500)));
    assertEquals("2:03:04", Progress.clock(Duration.ofSeconds(2 * 3600 + 3 * 60 + 4)));
  }

  @Test
  void timeLeftFollowsFromTheStepsSeenInThisGeneration() {
    Pace pace = new Pace();

    assertEquals(Optional.empty(), pace.left(1, 10, 100, START));
    assertEquals(Optional.of(Duration.ofSeconds(80)), pace.left(1, 20, 100, START.plusSeconds(10)));
    assertEquals(Optional.empty(), pace.left(2, 21, 100, START.plusSeconds(60)));
    assertEquals(
        Optional.of(Duration.ofSeconds(156)), pace.left(2, 22, 100, START.plusSeconds(62)));
  }

  @Test
  void withoutATerminalThereIsALineEveryFiveSecondsAndTheLast() {
    AtomicReference<Instant> now = new AtomicReference<>(START);
    InstantSource clock = now::get;
    PlainLines lines = new PlainLines(console, clock);

    for (int step = 1; step <= 8; step++) {
      lines.show(progress(step));
      now.set(now.get().plusSeconds(2));
    }
    lines.show(progress(250));

    assertEquals(
        "step 1, step 4, step 7, step 250",
        String.join(
            ", ",
            err.toString().lines().map(line -> line.substring(0, line.indexOf(" of "))).toList()));
  }

  @Test
  void onATerminalTheLineIsRedrawnAndNotesStayAboveIt() {
    RedrawnLine line = new RedrawnLine(console);

    line.show(progress(1));
    line.note("A checkpoint.");
    line.show(progress(2));
    line.close();

    String first = "\033[?7l" + progress(1).bar() + "\033[?7h";
    String second = "\033[?7l" + progress(2).bar() + "\033[?7h";
    assertEquals(
        "\r\033[K" + first + "\r\033[KA checkpoint.\n" + first + "\r\033[K" + second + "\n",
        err.toString());
  }

  private static Progress progress(long step) {
    return new Progress(step, 250, 0.2134, 3777, Optional.of(Duration.ofSeconds(83)), 2);
  }
}
