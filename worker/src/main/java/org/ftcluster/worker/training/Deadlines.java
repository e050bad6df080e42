package org.ftcluster.worker.training;

import java.time.Duration;

/**
 * How long a rank waits for others. A peer that dies is noticed at once, by its closed connection;
 * these are for one that stands still.
 *
 * @param connect for all ranks to come together
 * @param progress for a collective: longer than any rank takes for a step, an evaluation or a
 *     checkpoint
 * @param storage for a disk, or another place, to take again what a job can't do without
 */
public record Deadlines(Duration connect, Duration progress, Duration storage) {
  /** System property that overrides {@link #progress}, in seconds. */
  public static final String PROGRESS_PROPERTY = "ftcluster.progress.timeout.seconds";

  private static final long DEFAULT_PROGRESS_SECONDS = 1800;

  /** The coordinator waits for longer until a generation has started. */
  private static final Duration LONGEST_BEGIN = Duration.ofSeconds(60);

  /** Generous ones. */
  public static Deadlines standard() {
    return new Deadlines(
        Duration.ofMinutes(2),
        Duration.ofSeconds(Long.getLong(PROGRESS_PROPERTY, DEFAULT_PROGRESS_SECONDS)),
        Duration.ofMinutes(10));
  }

  /** {@link #storage}, where a generation begins. */
  Duration storageAtBegin() {
    return storage.compareTo(LONGEST_BEGIN) < 0 ? storage : LONGEST_BEGIN;
  }
}
