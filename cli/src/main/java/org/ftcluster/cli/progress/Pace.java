package org.ftcluster.cli.progress;

import java.time.Duration;
import java.time.Instant;
import java.util.Optional;

/**
 * Tells the time left from the steps seen so far. Starts anew with a generation: the number of
 * workers may have changed, and steps may be repeated.
 */
final class Pace {
  private long generation = -1;
  private long firstStep;
  private Instant firstSeen = Instant.EPOCH;

  /**
   * Notes that {@code step} was done at {@code now}, and tells the time left; nothing as long as
   * there is no telling.
   */
  Optional<Duration> left(long generation, long step, long steps, Instant now) {
    if (generation != this.generation || step < firstStep) {
      this.generation = generation;
      firstStep = step;
      firstSeen = now;
    }
    if (step == firstStep) {
      return Optional.empty();
    }
    Duration spent = Duration.between(firstSeen, now);
    return Optional.of(spent.multipliedBy(Math.max(0, steps - step)).dividedBy(step - firstStep));
  }
}
