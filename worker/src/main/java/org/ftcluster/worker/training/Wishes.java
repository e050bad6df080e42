package org.ftcluster.worker.training;

import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.function.Supplier;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.optimizer.GradientSum;
import org.ftcluster.worker.optimizer.GradientSum.Flag;
import org.ftcluster.worker.training.Trainer.Wish;

/**
 * What the ranks of a generation want next, which goes with their sums: all of them hear the same
 * at the same time.
 */
final class Wishes {
  private final Supplier<Wish> own;
  private boolean leaving;
  private int handingOver;
  private int leavers;

  /**
   * @param own this rank's, as far as it knows now
   */
  Wishes(Supplier<Wish> own) {
    this.own = own;
  }

  /** Tells the others with the next reduction of a sum, to be {@link #hear heard} behind it. */
  void tell(GradientSum sum) {
    switch (own.get()) {
      case GO_ON -> {}
      case HAND_OVER -> sum.raise(Flag.HAND_OVER);
      case LEAVE -> {
        sum.raise(Flag.HAND_OVER);
        sum.raise(Flag.LEAVE);
        leaving = true;
      }
    }
  }

  /** What all have told with a sum that is reduced. */
  void hear(GradientSum sum) {
    handingOver = sum.raised(Flag.HAND_OVER);
    leavers = sum.raised(Flag.LEAVE);
  }

  /** Asks all ranks where there is no sum to go with; every one of them calls it. */
  void ask(Communicator ranks, Duration timeout) {
    try (GradientSum nothing = GradientSum.of(JobSpec.Reduction.EXACT, 0, 0)) {
      nothing.start(0);
      tell(nothing);
      nothing.reduce(ranks, MemorySegment.NULL, timeout);
      hear(nothing);
    }
  }

  /** Whether the generation is to end. */
  boolean areToHandOver() {
    return handingOver > 0;
  }

  /** How many ranks won't be there for another one. */
  int leavers() {
    return leavers;
  }

  /** Whether this rank is among them, and has told the others. */
  boolean leaves() {
    return leaving;
  }
}
