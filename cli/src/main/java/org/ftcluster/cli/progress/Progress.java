package org.ftcluster.cli.progress;

import java.time.Duration;
import java.util.Locale;
import java.util.Optional;

/**
 * How far a job is.
 *
 * @param loss in nats a target token, or a pair's
 * @param left at the present speed; empty as long as there is no telling
 */
record Progress(
    long step,
    long steps,
    double loss,
    double tokensPerSecond,
    Optional<Duration> left,
    int workers) {
  private static final int BAR = 24;

  /** One line for people. */
  String text() {
    return String.format(
        Locale.ROOT,
        "step %d of %d  loss %.4f  %,.0f tokens/s  %s%d worker%s",
        step,
        steps,
        loss,
        tokensPerSecond,
        left.map(time -> clock(time) + " left  ").orElse(""),
        workers,
        workers == 1 ? "" : "s");
  }

  /** The same behind a bar. */
  String bar() {
    int done = steps == 0 ? 0 : (int) (BAR * Math.min(step, steps) / steps);
    return "[" + "#".repeat(done) + "-".repeat(BAR - done) + "] " + text();
  }

  /** {@code m:ss}, or {@code h:mm:ss}. */
  static String clock(Duration time) {
    long seconds = time.plusMillis(500).toSeconds();
    return seconds < 3600
        ? "%d:%02d".formatted(seconds / 60, seconds % 60)
        : "%d:%02d:%02d".formatted(seconds / 3600, seconds / 60 % 60, seconds % 60);
  }
}
