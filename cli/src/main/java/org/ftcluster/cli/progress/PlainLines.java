package org.ftcluster.cli.progress;

import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import org.ftcluster.cli.console.Console;

/**
 * A line now and then, for logs and pipes. The first step is always among them, and so is the last
 * where the job doesn't end early.
 */
final class PlainLines implements ProgressDisplay {
  private static final Duration BETWEEN = Duration.ofSeconds(5);

  private final Console console;
  private final InstantSource clock;
  private Instant next = Instant.MIN;

  PlainLines(Console console, InstantSource clock) {
    this.console = console;
    this.clock = clock;
  }

  @Override
  public void show(Progress progress) {
    Instant now = clock.instant();
    if (progress.step() == progress.steps() || !now.isBefore(next)) {
      next = now.plus(BETWEEN);
      console.talk(progress.text());
    }
  }

  @Override
  public void note(String sentence) {
    console.talk(sentence);
  }

  @Override
  public void close() {}
}
