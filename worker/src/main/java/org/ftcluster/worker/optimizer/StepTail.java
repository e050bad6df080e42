package org.ftcluster.worker.optimizer;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.collective.Communicator.ElementType;
import org.ftcluster.worker.collective.Communicator.ReduceOp;
import org.ftcluster.worker.optimizer.GradientSum.Flag;

/**
 * What all ranks get to know with a step's sums, whoever has those: the loss, whether there is a
 * sum worth having, raised flags, and what ranks tell each other.
 */
final class StepTail {
  private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG;
  private static final long LOSS = 0;
  private static final long UNUSABLE = 1;
  private static final long FLAGS = 2;

  /**
   * int64: the loss in fixed point, what can't be used, how many ranks raised each flag, and what
   * ranks tell each other.
   */
  private final MemorySegment words;

  private int microBatches;
  private double limit;

  /**
   * @param places for numbers that ranks tell each other
   */
  StepTail(Arena arena, int places) {
    words = arena.allocate(LONG, FLAGS + Flag.values().length + places);
  }

  /** Begins anew, with so many micro-batches over all ranks. */
  void start(int all) {
    microBatches = all;
    limit = FixedPoint.limit(all);
    words.fill((byte) 0);
  }

  /** The largest magnitude of a micro-batch's number. */
  double limit() {
    return limit;
  }

  /** Adds a micro-batch's loss, where that and its gradients can be used. */
  void add(double loss, boolean usable) {
    if (usable && Math.abs(loss) <= limit) {
      words.setAtIndex(LONG, LOSS, words.getAtIndex(LONG, LOSS) + FixedPoint.of(loss));
    } else {
      addUnusable();
    }
  }

  /** Something was found that can't be used. */
  void addUnusable() {
    words.setAtIndex(LONG, UNUSABLE, words.getAtIndex(LONG, UNUSABLE) + 1);
  }

  void raise(Flag flag) {
    words.setAtIndex(LONG, FLAGS + flag.ordinal(), 1);
  }

  int raised(Flag flag) {
    return Math.toIntExact(words.getAtIndex(LONG, FLAGS + flag.ordinal()));
  }

  void tell(int place, long number) {
    words.setAtIndex(LONG, FLAGS + Flag.values().length + place, number);
  }

  long told(int place) {
    return words.getAtIndex(LONG, FLAGS + Flag.values().length + place);
  }

  /**
   * Sums over all ranks.
   *
   * @return the loss
   * @throws NonFiniteGradientException on all ranks, when there is no sum worth having
   */
  double reduce(Communicator all, Duration timeout) {
    all.allReduce(words, ElementType.INT64, ReduceOp.SUM).await(timeout);
    long unusable = words.getAtIndex(LONG, UNUSABLE);
    if (unusable > 0) {
      throw new NonFiniteGradientException(
          "loss or gradient of %d of %d micro-batches is not a number, or beyond %.0f"
              .formatted(Math.min(unusable, microBatches), microBatches, limit));
    }
    return FixedPoint.toDouble(words.getAtIndex(LONG, LOSS));
  }
}
