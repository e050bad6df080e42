package org.ftcluster.worker.optimizer;

import java.util.Locale;
import java.util.Optional;
import org.ftcluster.protocol.job.JobSpec;

/** Whether sums in {@link FixedPoint} have digits enough for the gradients at hand. */
public final class SumPrecision {
  /** Fewer bits than a bfloat16 has, and a typical element has lost what others have computed. */
  private static final int FEWEST_BITS = 8;

  private SumPrecision() {}

  /**
   * What is lost, in a sentence; empty where that is nothing worth a word.
   *
   * @param norm of the whole gradient
   * @param size its elements
   */
  public static Optional<String> loss(JobSpec.Reduction reduction, double norm, long size) {
    double typical = norm / Math.sqrt(size);
    return switch (reduction) {
      case EXACT ->
          typical < Math.scalb(FixedPoint.RESOLUTION, FEWEST_BITS)
              ? Optional.of(
                  String.format(
                      Locale.ROOT,
                      "Precision is lost: the gradient's elements are about %.1e, and exact sums"
                          + " resolve no less than %.1e; training.reduction: fast does.",
                      typical,
                      FixedPoint.RESOLUTION))
              : Optional.empty();
      case FAST, BFLOAT16 -> Optional.empty();
    };
  }
}
