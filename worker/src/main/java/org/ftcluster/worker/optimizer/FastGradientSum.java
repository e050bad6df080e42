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

  private final Buckets buckets;
  private final long lossAt;

  /** Bytes of parameters from which on they are other ranks'. */
  private long end;

  /** Of the micro-batch at hand: bytes of parameters that are yet to be added. */
  private long left;

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
    end = lossAt;
    left = lossAt;
    rounded = rounds ? arena.allocate(size * Short.BYTES, 64) : null;
    buckets =
        rounded == null
            ? new Buckets(sums, lossAt, ElementType.FLOAT32)
            : new Buckets(rounded, rounded.byteSize(), ElementType.BFLOAT16);
  }

  @Override
  public void start(int microBatches) {
    sums.fill((byte) 0);
    loss = 0;
    end = lossAt;
    left = lossAt;
    buckets.start();
  }

  @Override
  public void nothingFrom(Communicator ranks, long from) {
    end = from * Float.BYTES;
    left = end;
    round(from);
    buckets.send(ranks, from);
  }

  @Override
  public void add(MemorySegment gradients, double loss) {
    this.loss += loss;
    addFrom(gradients, 0);
    left = end;
  }

  @Override
  public void addEarly(Communicator ranks, MemorySegment gradients, long from, boolean last) {
    if (last) {
      addFrom(gradients, from * Float.BYTES);
      round(from);
      buckets.send(ranks, from);
    }
  }

  /** Those from a parameter on that aren't under way. */
  private void round(long from) {
    long to = buckets.unsent();
    if (rounded != null && from < to) {
      Shard part = new Shard(from, to);
      RowOps.toBfloat16(
          rounded.asSlice(from * Short.BYTES, part.size() * Short.BYTES), part.of(gradientSums));
    }
  }

  /**
   * @param from in bytes
   */
  private void addFrom(MemorySegment gradients, long from) {
    long bytes = left;
    left = Math.min(from, left);
    long at = left;
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
      buckets.finish(ranks, timeout);
    } else {
      round(0);
      buckets.finish(ranks, timeout);
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
  public long bytes() {
    return sums.byteSize() + (rounded == null ? 0 : rounded.byteSize());
  }

  @Override
  public void close() {
    buckets.letGo(GradientSum.LET_GO);
    arena.close();
  }
}
