package org.ftcluster.coordinator.job;

import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;

/**
 * Counts what went wrong since the last completed step, and says how long to wait before another
 * try, and when it is too much.
 */
final class Setbacks {
  /** A worker's errors are its job's, after so many. */
  static final int MAX_WORKER_ERRORS = 4;

  /** Generations in a row that may end without a completed step, whatever the cause. */
  static final int MAX_FRUITLESS_GENERATIONS = 10;

  /** So many may, and the next is tried at once: workers that are lost one after another. */
  private static final int FREE_GENERATIONS = 3;

  private static final int MOST_DOUBLINGS = 4;

  /** Two errors of one worker within so many generations, and the job is better off without it. */
  private static final int RECENT = 5;

  private final Duration first;
  private final Map<String, Long> lastErrors = new HashMap<>();
  private int workerErrors;
  private int fruitlessGenerations;

  /**
   * Begins without any.
   *
   * @param first how long to wait the first time
   */
  Setbacks(Duration first) {
    this.first = first;
  }

  void stepCompleted() {
    workerErrors = 0;
    fruitlessGenerations = 0;
  }

  /** Why the job fails; empty when another generation is worth trying. */
  Optional<String> workerError(String rank, String message) {
    workerErrors++;
    return workerErrors < MAX_WORKER_ERRORS
        ? Optional.empty()
        : Optional.of(
            "%s (%s; %d errors without a completed step between them)"
                .formatted(message, rank, workerErrors));
  }

  /** Whether a worker has failed again, and not long after it had before. */
  boolean isRepeated(String node, long generation) {
    Long last = lastErrors.put(node, generation);
    return last != null && generation - last < RECENT;
  }

  /** Why the job fails; empty when another generation is worth trying. */
  Optional<String> generationLost(String reason) {
    fruitlessGenerations++;
    return fruitlessGenerations < MAX_FRUITLESS_GENERATIONS
        ? Optional.empty()
        : Optional.of(
            "%d generations in a row ended without a completed step, the last because %s"
                .formatted(fruitlessGenerations, reason));
  }

  /** How long to wait before the next generation: 1, 4, 16 times the first after errors. */
  Duration backOff() {
    int doublings = Math.max(2 * (workerErrors - 1), fruitlessGenerations - FREE_GENERATIONS - 1);
    return doublings < 0
        ? Duration.ZERO
        : first.multipliedBy(1L << Math.min(doublings, MOST_DOUBLINGS));
  }
}
