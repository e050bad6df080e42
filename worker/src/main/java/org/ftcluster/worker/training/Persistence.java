package org.ftcluster.worker.training;

import java.nio.file.AccessDeniedException;
import java.nio.file.NotDirectoryException;
import java.time.Duration;
import java.util.function.Consumer;
import java.util.function.Supplier;
import org.ftcluster.worker.checkpoint.CheckpointException;
import org.ftcluster.worker.collective.CollectiveException;

/**
 * Writes what a job can't do without, again and again for a while: full disks are emptied, and
 * storage comes back.
 *
 * @param atMost after the first try
 * @param stopCheck called all the while; throws to end it
 * @param notes hears, once, that it is tried again
 */
record Persistence(Duration atMost, Runnable stopCheck, Consumer<String> notes) {
  private static final Duration BETWEEN_TRIES = Duration.ofMillis(500);

  /**
   * Tries until it works.
   *
   * @throws OutputException when it fails for too long, or for good
   * @throws CheckpointException likewise
   */
  <T> T write(Supplier<T> attempt) {
    long startNs = System.nanoTime();
    for (boolean again = false; ; again = true) {
      try {
        return attempt.get();
      } catch (OutputException | CheckpointException e) {
        if (isForGood(e) || System.nanoTime() - startNs >= atMost.toNanos()) {
          throw e;
        }
        if (!again) {
          notes.accept(
              "%s It is tried again for %d s.".formatted(e.getMessage(), atMost.toSeconds()));
        }
      }
      pause();
      stopCheck.run();
    }
  }

  private static boolean isForGood(RuntimeException failure) {
    Throwable cause = failure.getCause();
    return cause instanceof AccessDeniedException || cause instanceof NotDirectoryException;
  }

  private static void pause() {
    try {
      Thread.sleep(BETWEEN_TRIES);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new CollectiveException("interrupted", e);
    }
  }
}
