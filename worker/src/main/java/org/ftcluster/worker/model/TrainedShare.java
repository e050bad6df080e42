package org.ftcluster.worker.model;

import org.ftcluster.protocol.job.JobSpec.Reduction;
import org.ftcluster.protocol.job.JobSpec.Sharding;

/**
 * How much of what is trained a rank holds.
 *
 * @param ranks that share it out
 * @param stages that they make up; sums of gradients are shared out within each
 * @param mirrored whether each has its neighbour's share as well
 * @param values whether values are shared out, too
 */
public record TrainedShare(
    Sharding sharding, int ranks, int stages, boolean mirrored, boolean values) {
  /** Nobody shares anything. */
  public static final TrainedShare ALL = new TrainedShare(Sharding.NONE, 1, 1, false, false);

  /** Of a parameter's value and gradient. */
  private static final int VALUE_BYTES = 2 * Float.BYTES;

  /** Of both its moments. */
  private static final int MOMENT_BYTES = 2 * Float.BYTES;

  /**
   * Bytes for all parameters.
   *
   * @param ofStage those that the stage's layers have
   */
  public long bytes(long parameters, long ofStage, Reduction reduction) {
    double summed =
        switch (sharding) {
          case NONE, ZERO1 -> (double) parameters * wholeSum(reduction);
          case ZERO2, ZERO3 -> (double) ofStage / ranks * stages * reduction.sumBytes();
        };
    double each = sharesValues() ? (double) Float.BYTES * (mirrored ? 2 : 1) / ranks : VALUE_BYTES;
    return Math.round(each * parameters + summed) + optimizerBytes(parameters);
  }

  /** Whether a rank hasn't got all values, and no room for all gradients. */
  boolean sharesValues() {
    return values && ranks > 1;
  }

  /** How many of them are what the optimizer remembers. */
  long optimizerBytes(long parameters) {
    // A share's gradients are kept for as long as other ranks may not have come as far.
    double each =
        ranks == 1 || sharding == Sharding.NONE
            ? MOMENT_BYTES
            : (double) (MOMENT_BYTES + Float.BYTES) * (mirrored ? 2 : 1) / ranks;
    return Math.round(each * parameters);
  }

  /** With a copy to send, where that is of another type. */
  private static int wholeSum(Reduction reduction) {
    int sent = reduction.sentBytes();
    return reduction.sumBytes() + (sent < reduction.sumBytes() ? sent : 0);
  }
}
