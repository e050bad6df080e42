package org.ftcluster.worker.model;

import org.ftcluster.protocol.job.JobSpec.Reduction;
import org.ftcluster.protocol.job.JobSpec.Sharding;

/**
 * How much of what is trained a rank holds.
 *
 * @param ranks that share it out
 * @param stages that they make up; sums of gradients are shared out within each
 * @param mirrored whether each has its neighbour's share as well
 */
public record TrainedShare(Sharding sharding, int ranks, int stages, boolean mirrored) {
  /** Nobody shares anything. */
  public static final TrainedShare ALL = new TrainedShare(Sharding.NONE, 1, 1, false);

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
    double share = 1.0 / ranks;
    // A share's gradients are kept for as long as other ranks may not have come as far.
    double moments =
        ranks == 1 ? MOMENT_BYTES : (MOMENT_BYTES + Float.BYTES) * (mirrored ? 2 : 1) * share;
    double each =
        switch (sharding) {
          case NONE -> VALUE_BYTES + MOMENT_BYTES;
          case ZERO1, ZERO2, ZERO3 -> VALUE_BYTES + moments;
        };
    double summed =
        switch (sharding) {
          case NONE, ZERO1 -> (double) parameters * wholeSum(reduction);
          case ZERO2, ZERO3 -> ofStage * share * stages * reduction.sumBytes();
        };
    return Math.round(each * parameters + summed);
  }

  /** With a copy to send, where that is of another type. */
  private static int wholeSum(Reduction reduction) {
    int sent = reduction.sentBytes();
    return reduction.sumBytes() + (sent < reduction.sumBytes() ? sent : 0);
  }
}
