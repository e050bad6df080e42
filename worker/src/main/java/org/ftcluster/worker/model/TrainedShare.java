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
    double values = sharesValues() ? valueShare() : VALUE_BYTES;
    double sums = sumBytes(parameters, ofStage, reduction);
    return Math.round(values * parameters + sums) + optimizerBytes(parameters);
  }

  private double sumBytes(long parameters, long ofStage, Reduction reduction) {
    return switch (sharding) {
      case NONE, ZERO1 -> (double) parameters * wholeSum(reduction);
      case ZERO2, ZERO3 -> (double) ofStage / ranks * stages * reduction.sumBytes();
    };
  }

  /** Bytes of a parameter. */
  private double valueShare() {
    return (double) Float.BYTES * (mirrored ? 2 : 1) / ranks;
  }

  /**
   * Bytes besides, for a while: of a state that every rank holds as a whole the copy that the first
   * one saves while training goes on; of one in shares the pieces that the first one has of it at
   * once, or the new share that a rank gets, beside its old one, when ranks come or go, and sum
   * nothing meanwhile.
   *
   * @param saved whether checkpoints are written while training goes on
   * @param onDisk how many of the trained bytes are there, and a copy of them, too
   */
  long spareBytes(long parameters, long ofStage, Reduction reduction, boolean saved, long onDisk) {
    if (!isShared()) {
      long state = parameters * (Float.BYTES + MOMENT_BYTES);
      return saved ? Math.max(0, state - onDisk) : 0;
    }
    double values = sharesValues() ? valueShare() * parameters : 0;
    double share = values + Math.max(0, optimizerBytes(parameters) - onDisk);
    return Math.round(
        Math.max(
            2.0 * FloatSource.PIECE * Float.BYTES,
            share - sumBytes(parameters, ofStage, reduction)));
  }

  private boolean isShared() {
    return ranks > 1 && sharding != Sharding.NONE;
  }

  /** Whether a rank hasn't got all values, and no room for all gradients. */
  boolean sharesValues() {
    return values && ranks > 1;
  }

  /** How many of them are what the optimizer remembers. */
  long optimizerBytes(long parameters) {
    // A share's gradients are kept for as long as other ranks may not have come as far.
    double each =
        !isShared()
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
