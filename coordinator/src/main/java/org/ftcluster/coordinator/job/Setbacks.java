package org.ftcluster.coordinator.job;

import java.util.Optional;

/** Counts what went wrong since the last completed step, and says when it is too much. */
final class Setbacks {
  /** A worker's errors are its job's, after so many. */
  static final int MAX_WORKER_ERRORS = 3;

  /** Generations in a row that may end without a completed step, whatever the cause. */
  static final int MAX_FRUITLESS_GENERATIONS = 10;

  private int workerErrors;
  private int fruitlessGenerations;

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

  /** Why the job fails; empty when another generation is worth trying. */
  Optional<String> generationLost(String reason) {
    fruitlessGenerations++;
    return fruitlessGenerations < MAX_FRUITLESS_GENERATIONS
        ? Optional.empty()
        : Optional.of(
            "%d generations in a row ended without a completed step, the last because %s"
                .formatted(fruitlessGenerations, reason));
  }
}
