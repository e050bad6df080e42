package org.ftcluster.worker.model;

import java.util.List;
import java.util.function.Function;
import org.ftcluster.protocol.job.JobSpec.Reduction;
import org.ftcluster.protocol.job.JobSpec.Sharding;
import org.ftcluster.worker.model.ParameterBuffer.Slice;

/**
 * How much of what is trained a rank holds.
 *
 * @param ranks that share it out
 * @param stages that they make up; sums of gradients are shared out within each, and so are values
 * @param mirrored the parts of the rank whose share this one has as well; none where it hasn't
 * @param values whether values are shared out, too
 */
public record TrainedShare(
    Sharding sharding, int ranks, int stages, List<ModelPart> mirrored, boolean values) {
  /** Nobody shares anything. */
  public static final TrainedShare ALL = new TrainedShare(Sharding.NONE, 1, 1, List.of(), false);

  /** Of a parameter's value and gradient. */
  private static final int VALUE_BYTES = 2 * Float.BYTES;

  /** Of gradients that are on their way at once between GPUs that share out their sums. */
  public static final long DEVICE_TRANSIT_BYTES = 256L << 20;

  /** Of both its moments. */
  private static final int MOMENT_BYTES = 2 * Float.BYTES;

  public TrainedShare {
    mirrored = List.copyOf(mirrored);
  }

  /**
   * Parameters that a rank has to do with.
   *
   * @param all that the job trains
   * @param ofStage those that the stage's layers have
   * @param own those of which it has a share
   * @param mirrored those of which it has another rank's share
   */
  record Sizes(long all, long ofStage, long own, long mirrored) {
    /** One rank's that shares nothing. */
    static Sizes whole(long all) {
      return new Sizes(all, all, all, 0);
    }
  }

  /**
   * Those of a rank.
   *
   * @param parts that it has
   */
  Sizes sizes(ParameterBuffer parameters, List<ModelPart> parts) {
    long all = parameters.size();
    long ofStage = sum(parts, part -> part.trained(parameters.slices()));
    return sharesValues()
        ? new Sizes(
            all,
            ofStage,
            sum(parts, part -> part.owned(parameters.slices())),
            sum(mirrored, part -> part.owned(parameters.slices())))
        : new Sizes(all, ofStage, all, mirrored.isEmpty() ? 0 : all);
  }

  private static long sum(List<ModelPart> parts, Function<ModelPart, List<Slice>> slices) {
    return parts.stream().flatMap(part -> slices.apply(part).stream()).mapToLong(Slice::size).sum();
  }

  /** Bytes of all. */
  long bytes(Sizes sizes, Reduction reduction) {
    double values = sharesValues() ? Float.BYTES * held(sizes) : VALUE_BYTES * (double) sizes.all();
    return Math.round(values + sumBytes(sizes, reduction)) + optimizerBytes(sizes);
  }

  /**
   * Bytes of it in a GPU's memory: shares of the values and of the optimizer's memory are the
   * host's.
   *
   * @param optimizing whether the optimizer works there, where it isn't shared out
   */
  long deviceBytes(Sizes sizes, Reduction reduction, boolean optimizing) {
    double values = sharesValues() ? 0 : VALUE_BYTES * (double) sizes.all();
    double moments = optimizing && !isShared() ? MOMENT_BYTES * (double) sizes.all() : 0;
    return Math.round(values + moments + sumBytes(sizes, reduction)) + transit(sizes, reduction);
  }

  /** Bytes of gradients that are on their way at once to the ranks that sum them. */
  private long transit(Sizes sizes, Reduction reduction) {
    return sharesSums()
        ? Math.min(DEVICE_TRANSIT_BYTES, sizes.ofStage() * reduction.sentBytes())
        : 0;
  }

  private boolean sharesSums() {
    return switch (sharding) {
      case NONE, ZERO1 -> false;
      case ZERO2, ZERO3 -> ranks > 1;
    };
  }

  private double sumBytes(Sizes sizes, Reduction reduction) {
    return sharesSums()
        ? (double) sizes.ofStage() / ranks * stages * reduction.sumBytes()
        : (double) sizes.all() * wholeSum(reduction);
  }

  /** Parameters of the shares that a rank has. */
  private double held(Sizes sizes) {
    double sharers = sharesValues() ? (double) ranks / stages : ranks;
    return (sizes.own() + sizes.mirrored()) / sharers;
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
  long spareBytes(Sizes sizes, Reduction reduction, boolean saved, long onDisk) {
    if (!isShared()) {
      long state = sizes.all() * (Float.BYTES + MOMENT_BYTES);
      return saved ? Math.max(0, state - onDisk) : 0;
    }
    double values = sharesValues() ? Float.BYTES * held(sizes) : 0;
    double share = values + Math.max(0, optimizerBytes(sizes) - onDisk);
    return Math.round(
        Math.max(2.0 * FloatSource.PIECE * Float.BYTES, share - sumBytes(sizes, reduction)));
  }

  private boolean isShared() {
    return ranks > 1 && sharding != Sharding.NONE;
  }

  /** Whether a rank hasn't got all values, and no room for all gradients. */
  boolean sharesValues() {
    return values && ranks > 1;
  }

  /** How many of them are what the optimizer remembers. */
  long optimizerBytes(Sizes sizes) {
    // A share's gradients are kept for as long as other ranks may not have come as far.
    return isShared()
        ? Math.round((MOMENT_BYTES + Float.BYTES) * held(sizes))
        : MOMENT_BYTES * sizes.all();
  }

  /** With a copy to send, where that is of another type. */
  private static int wholeSum(Reduction reduction) {
    int sent = reduction.sentBytes();
    return reduction.sumBytes() + (sent < reduction.sumBytes() ? sent : 0);
  }
}
