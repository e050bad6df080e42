package org.ftcluster.worker.optimizer;

import java.lang.foreign.MemorySegment;
import java.time.Duration;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.collective.Work;
import org.jspecify.annotations.Nullable;

/**
 * Sums the gradients, and the losses, of a global batch's micro-batches: first this rank's, one
 * after the other, then all ranks' in one collective.
 *
 * <p>A step goes {@link #start}, {@link #add} for each of this rank's micro-batches, {@link
 * #reduce}. Calls come from one thread.
 */
public sealed interface GradientSum extends AutoCloseable
    permits DeviceGradientSum, ExactGradientSum, FastGradientSum, ShardedSum {
  /** How long ranks may take to let go of sums after an abort. */
  Duration LET_GO = Duration.ofSeconds(10);

  /**
   * Makes one of the kind that a job asks for.
   *
   * @param size parameters
   * @param places for numbers that ranks tell each other
   */
  static GradientSum of(JobSpec.Reduction reduction, long size, int places) {
    return switch (reduction) {
      case EXACT -> new ExactGradientSum(size, places);
      case FAST -> new FastGradientSum(size, places, false);
      case BFLOAT16 -> new FastGradientSum(size, places, true);
    };
  }

  /**
   * Whether it takes gradients from where an accelerator's layers leave them: what it is given of
   * the host's memory isn't looked at.
   */
  default boolean takesFromDevice() {
    return false;
  }

  /**
   * Forgets what was added and told, and that any flag was raised.
   *
   * @param microBatches of the whole global batch, over all ranks
   */
  void start(int microBatches);

  /**
   * Adds a micro-batch of this rank's.
   *
   * @param gradients float32, of one micro-batch
   * @param loss its share of the global batch's mean loss
   */
  void add(MemorySegment gradients, double loss);

  /**
   * Says, before this rank adds anything, that it will have no gradients from a parameter on, as
   * where other ranks hold those layers: their sum begins as soon as the others have theirs.
   *
   * @param from parameters from which on {@link #add} leaves this rank's out
   */
  default void nothingFrom(Communicator ranks, long from) {}

  /**
   * Says, while a micro-batch of this rank's is still in its backward, which of its gradients are
   * complete. Where they are what ranks sum next they are added, and that sum begins. {@link #add}
   * does the rest.
   *
   * @param gradients as for {@link #add}
   * @param from parameter from which on they are complete; no greater than before
   * @param last whether it is this rank's last micro-batch, behind which its sums are complete
   */
  void addEarly(Communicator ranks, MemorySegment gradients, long from, boolean last);

  /** Whether {@link #addEarly} may wait for other ranks. */
  default boolean waitsEarly() {
    return false;
  }

  /**
   * Begins to add a micro-batch of this rank's unit by unit, as they come; {@link #add} then does
   * no more than to add its loss.
   *
   * @param gradients float32, of that unit's parameters, which stay as they are until this is done;
   *     null where only other ranks have some
   */
  default Work addUnit(int unit, @Nullable MemorySegment gradients) {
    throw new IllegalStateException("whole gradients are added here");
  }

  /**
   * To be called in the place of {@link #add} where other ranks have a micro-batch more than this
   * one.
   */
  default void addNothing() {}

  /**
   * Returns when what this rank has added so far is in its sums, as far as an accelerator does it.
   */
  default void awaitAdded() {}

  /** Tells all ranks something, with the sum: they know it all at the same step, or not at all. */
  void raise(Flag flag);

  /** How many ranks raised it; known, and the same on every rank, once {@link #reduce} is done. */
  int raised(Flag flag);

  /**
   * Tells all ranks a number, with the sum. No other rank may use the same place in the same step.
   *
   * @param place from 0
   * @param number not negative; its leading 24 bits get through
   */
  void tell(int place, long number);

  /** What was told there, by whomever; the same on every rank, once {@link #reduce} is done. */
  long told(int place);

  /** What ranks tell each other with a step's sum. */
  enum Flag {
    /** This step is to be the generation's last. */
    HAND_OVER,
    /** This rank won't be there for another generation. */
    LEAVE
  }

  /**
   * Sums over all ranks.
   *
   * @param gradients gets the sum, float32, the same on every rank; or this rank's shard of it; or
   *     nothing, where the optimizer's shards get it, or it stays in an accelerator's memory
   * @return the sum of the losses, the same on every rank
   * @throws NonFiniteGradientException on all ranks, when there is no sum worth having
   * @throws org.ftcluster.worker.collective.CollectiveException when a rank was lost, or {@code
   *     timeout} has passed
   */
  double reduce(Communicator ranks, MemorySegment gradients, Duration timeout);

  /** Bytes that the sums take. */
  long bytes();

  /**
   * Returns when ranks no longer write to the sums: a step that has failed half-way is to be
   * aborted first.
   */
  @Override
  void close();
}
