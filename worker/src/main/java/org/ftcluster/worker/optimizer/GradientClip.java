package org.ftcluster.worker.optimizer;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.List;
import java.util.function.IntFunction;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.collective.Communicator.ElementType;
import org.ftcluster.worker.collective.Communicator.ReduceOp;
import org.ftcluster.worker.model.ParameterUnit;
import org.ftcluster.worker.tensor.Profile;

/** Clipping by the global norm, as {@code torch.nn.utils.clip_grad_norm_} does it. */
public final class GradientClip {
  private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;

  /** Gradients that are summed by themselves; the sums of such blocks are added in their order. */
  static final int BLOCK = ParameterUnit.BLOCK;

  private static final long BLOCK_BYTES = (long) BLOCK * Float.BYTES;

  /** Independent sums; fixed, so that the last bits don't depend on the processor. */
  private static final int LANES = 8;

  /** PyTorch's guard against a division by zero. */
  private static final double EPSILON = 1e-6;

  private GradientClip() {}

  /**
   * The L2 norm over all gradients, float32, summed in float64 in an order that depends on their
   * number only. NaN or infinite where one of them is.
   */
  public static double norm(MemorySegment gradients) {
    long start = Profile.begin();
    double sum = 0;
    for (long at = 0; at < gradients.byteSize(); at += BLOCK_BYTES) {
      sum += squares(gradients.asSlice(at, Math.min(BLOCK_BYTES, gradients.byteSize() - at)));
    }
    Profile.ended("gradient norm", start, 0, gradients.byteSize());
    return Math.sqrt(sum);
  }

  /**
   * The same over gradients of which each rank has a shard, with the same bits.
   *
   * @param gradients float32, of all parameters; those of the rank's own shard count
   * @throws org.ftcluster.worker.collective.CollectiveException when a rank was lost
   */
  static double norm(
      MemorySegment gradients, ShardLayout layout, Communicator ranks, Duration timeout) {
    Shard own = layout.own();
    return norm(List.of(own), shard -> own.of(gradients), layout.size(), ranks, timeout);
  }

  /** The same over gradients that are beside the optimizer's shards. */
  static double norm(OptimizerState state, Communicator ranks, Duration timeout) {
    List<OptimizerState.Piece> own = state.ownPieces();
    return norm(
        own.stream().map(OptimizerState.Piece::shard).toList(),
        shard -> own.get(shard).gradients(),
        state.layout().size(),
        ranks,
        timeout);
  }

  private static double norm(
      List<Shard> shards,
      IntFunction<MemorySegment> gradients,
      long size,
      Communicator ranks,
      Duration timeout) {
    try (Arena arena = Arena.ofShared()) {
      // Others' are zeros, which change no bit of a sum.
      MemorySegment sums =
          arena.allocate(ValueLayout.JAVA_DOUBLE, Math.ceilDiv(size, (long) BLOCK));
      for (int i = 0; i < shards.size(); i++) {
        Shard shard = shards.get(i);
        for (long at = shard.from(); at < shard.to(); at += BLOCK) {
          Shard block = new Shard(at, Math.min(shard.to(), at + BLOCK));
          MemorySegment ofBlock = block.in(gradients.apply(i), shard.from());
          sums.setAtIndex(ValueLayout.JAVA_DOUBLE, at / BLOCK, squares(ofBlock));
        }
      }
      ranks.allReduce(sums, ElementType.FLOAT64, ReduceOp.SUM).await(timeout);
      double sum = 0;
      for (long block = 0; block < sums.byteSize() / Double.BYTES; block++) {
        sum += sums.getAtIndex(ValueLayout.JAVA_DOUBLE, block);
      }
      return Math.sqrt(sum);
    }
  }

  private static double squares(MemorySegment gradients) {
    double s0 = 0;
    double s1 = 0;
    double s2 = 0;
    double s3 = 0;
    double s4 = 0;
    double s5 = 0;
    double s6 = 0;
    double s7 = 0;
    long bytes = gradients.byteSize();
    long at = 0;
    for (long end = bytes - LANES * Float.BYTES; at <= end; at += LANES * Float.BYTES) {
      s0 += square(gradients, at);
      s1 += square(gradients, at + 4);
      s2 += square(gradients, at + 8);
      s3 += square(gradients, at + 12);
      s4 += square(gradients, at + 16);
      s5 += square(gradients, at + 20);
      s6 += square(gradients, at + 24);
      s7 += square(gradients, at + 28);
    }
    for (; at < bytes; at += Float.BYTES) {
      s0 += square(gradients, at);
    }
    return ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7));
  }

  /**
   * The factor that brings gradients of that norm down to {@code maxNorm}; 1 where they are within
   * it, or where {@code maxNorm} is 0.
   */
  public static float scale(double norm, double maxNorm) {
    return maxNorm == 0 ? 1 : (float) Math.min(1, maxNorm / (norm + EPSILON));
  }

  private static double square(MemorySegment gradients, long at) {
    double value = gradients.get(FLOAT, at);
    return value * value;
  }
}
