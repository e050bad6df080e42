package org.ftcluster.worker.optimizer;

import static java.nio.ByteOrder.nativeOrder;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.collective.Communicator.ElementType;
import org.ftcluster.worker.collective.Communicator.ReduceOp;
import org.ftcluster.worker.tensor.kernel.RowOps;
import org.jspecify.annotations.Nullable;

/**
 * Sums in float32: half the bytes of {@link ExactGradientSum}, and last bits that depend on the
 * number of ranks. All ranks still get the same.
 *
 * <p>A quarter where ranks send bfloat16: each rank's sum is rounded once, and so is every partial
 * sum on its way around the ring. Losses, and what ranks tell each other, stay float32.
 */
public final class FastGradientSum implements GradientSum {
  private static final VectorSpecies<Float> SPECIES = FloatVector.SPECIES_PREFERRED;
  private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT;

  private final Arena arena = Arena.ofShared();

  /**
   * float32: a sum for each parameter, the loss's leading digits and those that follow, how many
   * ranks raised each flag, and what they tell each other.
   */
  private final MemorySegment sums;

  private final MemorySegment gradientSums;
  private final MemorySegment tail;

  /** The sums in bfloat16; null where they are sent as they are. */
  private final @Nullable MemorySegment rounded;

  private final long lossAt;

  /** This rank's losses. */
  private double loss;

  /**
   * @param rounds whether ranks send bfloat16
   */
  FastGradientSum(long size, int places, boolean rounds) {
    sums = arena.allocate((size + 2 + Flag.values().length + places) * Float.BYTES, 64);
    lossAt = size * Float.BYTES;
    gradientSums = sums.asSlice(0, lossAt);
    tail = sums.asSlice(lossAt);
    rounded = rounds ? arena.allocate(size * Short.BYTES, 64) : null;
  }

  @Override
  public void start(int microBatches) {
    sums.fill((byte) 0);
    loss = 0;
  }

  @Override
  public void add(MemorySegment gradients, double loss) {
    this.loss += loss;
    long bytes = gradients.byteSize();
    long at = 0;
    for (long end = bytes - SPECIES.vectorByteSize(); at <= end; at += SPECIES.vectorByteSize()) {
      FloatVector sum = FloatVector.fromMemorySegment(SPECIES, sums, at, nativeOrder());
      FloatVector term = FloatVector.fromMemorySegment(SPECIES, gradients, at, nativeOrder());
      sum.add(term).intoMemorySegment(sums, at, nativeOrder());
    }
    for (; at < bytes; at += Float.BYTES) {
      sums.set(FLOAT, at, sums.get(FLOAT, at) + gradients.get(FLOAT, at));
    }
  }

  @Override
  public void raise(Flag flag) {
    sums.set(FLOAT, offset(flag), 1);
  }

  @Override
  public int raised(Flag flag) {
    return (int) sums.get(FLOAT, offset(flag));
  }

  @Override
  public void tell(int place, long number) {
    sums.set(FLOAT, offset(place), number);
  }

  @Override
  public long told(int place) {
    return (long) sums.get(FLOAT, offset(place));
  }

  private long offset(int place) {
    return lossAt + (2L + Flag.values().length + place) * Float.BYTES;
  }

  private long offset(Flag flag) {
    return lossAt + (2 + flag.ordinal()) * (long) Float.BYTES;
  }

  @Override
  public double reduce(Communicator ranks, MemorySegment gradients, Duration timeout) {
    if (rounded != null && !Double.isFinite(GradientClip.norm(gradientSums))) {
      loss = Double.NaN; // whatever rounding makes of it
    }
    float leading = (float) loss;
    sums.set(FLOAT, lossAt, leading);
    sums.set(FLOAT, lossAt + Float.BYTES, (float) (loss - leading));
    if (rounded == null) {
      ranks.allReduce(sums, ElementType.FLOAT32, ReduceOp.SUM).await(timeout);
    } else {
      RowOps.toBfloat16(rounded, gradientSums);
      ranks.allReduce(rounded, ElementType.BFLOAT16, ReduceOp.SUM).await(timeout);
      RowOps.fromBfloat16(gradientSums, rounded);
      ranks.allReduce(tail, ElementType.FLOAT32, ReduceOp.SUM).await(timeout);
    }
    double total = (double) sums.get(FLOAT, lossAt) + sums.get(FLOAT, lossAt + Float.BYTES);
    if (!Double.isFinite(total) || !Double.isFinite(GradientClip.norm(gradientSums))) {
      throw new NonFiniteGradientException("loss or gradient is not a finite number");
    }
    gradients.copyFrom(gradientSums);
    return total;
  }

  @Override
  public void close() {
    arena.close();
  }
}
