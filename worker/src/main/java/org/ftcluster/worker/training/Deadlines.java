package org.ftcluster.worker.training;

import java.time.Duration;

/**
 * How long a rank waits for others. A peer that dies is noticed at once, by its closed connection;
 * these are for one that stands still.
 *
 * @param connect for all ranks to come together
 * @param progress for a collective: longer than any rank takes for a step, an evaluation or a
 *     checkpoint
 */
public record Deadlines(Duration connect, Duration progress) {
  /** System property that overrides {@link #progress}, in seconds. */
  public static final String PROGRESS_PROPERTY = "ftcluster.progress.timeout.seconds";

  private static final long DEFAULT_PROGRESS_SECONDS = 1800;

  /** Generous ones. */
  public static Deadlines standard() {
    return new Deadlines(
        Duration.ofMinutes(2),
        Duration.ofSeconds(Long.getLong(PROGRESS_PROPERTY, DEFAULT_PROGRESS_SECONDS)));
  }
}
