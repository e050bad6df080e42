package org.ftcluster.cli.node;

import java.time.Duration;
import org.ftcluster.cli.console.CommandException;

/** Pauses between tries: each twice as long as the one before, up to a longest. */
final class Backoff {
  private final Duration first;
  private final Duration longest;
  private Duration next;

  Backoff(Duration first, Duration longest) {
    this.first = first;
    this.longest = longest;
    next = first;
  }

  /** How long to wait now. */
  Duration next() {
    Duration pause = next;
    Duration longer = pause.multipliedBy(2);
    next = longer.compareTo(longest) < 0 ? longer : longest;
    return pause;
  }

  /** Begins anew: a try was worth it. */
  void reset() {
    next = first;
  }

  static void sleep(Duration pause) {
    try {
      Thread.sleep(pause);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw CommandException.failed("interrupted while waiting to try again").because(e);
    }
  }
}
