package org.ftcluster.worker.training;

import java.util.function.Supplier;
import org.ftcluster.worker.collective.CollectiveException;
import org.jspecify.annotations.Nullable;

/**
 * The generation at hand, and what is asked of a rank while its thread is busy with it: to stop, to
 * hand over, to leave. For any thread.
 */
final class CurrentGeneration {
  private @Nullable OpenGeneration current;
  private long stoppedThrough = Long.MIN_VALUE;
  private String stopReason = "";
  private long handOverThrough = Long.MIN_VALUE;
  private boolean leaving;

  /**
   * Begins one, after the end of the one before.
   *
   * @throws CollectiveException when it was stopped before
   */
  synchronized OpenGeneration begin(long number, Supplier<OpenGeneration> opening) {
    checkStopped(number);
    OpenGeneration opened = opening.get();
    current = opened;
    return opened;
  }

  /** The one that was begun. */
  synchronized OpenGeneration get() {
    if (current == null) {
      throw new IllegalStateException("run() without prepare()");
    }
    return current;
  }

  /** Ends the one at hand, and all before it, on all ranks. */
  synchronized void stop(long generation, String reason) {
    if (generation > stoppedThrough) {
      stoppedThrough = generation;
      stopReason = reason;
    }
    if (current != null && current.number() <= stoppedThrough) {
      current.abort(reason);
    }
  }

  synchronized void checkStopped(long generation) {
    if (generation <= stoppedThrough) {
      throw new CollectiveException(
          "generation %d was stopped: %s".formatted(generation, stopReason));
    }
  }

  synchronized void handOver(long generation) {
    handOverThrough = Math.max(handOverThrough, generation);
  }

  synchronized void leave() {
    leaving = true;
  }

  synchronized Trainer.Wish wish(long generation) {
    if (leaving) {
      return Trainer.Wish.LEAVE;
    }
    return generation <= handOverThrough ? Trainer.Wish.HAND_OVER : Trainer.Wish.GO_ON;
  }

  /** Lets go of the one at hand, if there is one. */
  void end() {
    OpenGeneration ending;
    synchronized (this) {
      ending = current;
      current = null;
    }
    if (ending != null) {
      ending.close();
    }
  }
}
