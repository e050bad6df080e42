package org.ftcluster.worker.optimizer;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.collective.Communicator.ElementType;
import org.ftcluster.worker.tensor.Profile;

/**
 * Sums in 64-bit fixed point ({@link FixedPoint}). Integer addition is associative, so the result
 * is the same, bit for bit, however the micro-batches are shared out among ranks.
 *
 * <p>Overflow can't go unseen: each micro-batch's values are checked against the range divided by
 * the number of micro-batches, so whatever passes adds up to something within it. Those that don't
 * pass are counted, and the count is summed with the rest, so that all ranks refuse the step alike.
 */
public final class ExactGradientSum implements GradientSum {
  private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG;

  private final Arena arena = Arena.ofShared();

  /**
   * int64: a sum for each parameter, one for the loss, how many micro-batches can't be used, how
   * many ranks raised each flag, and what they tell each other.
   */
  private final MemorySegment sums;

  private final Buckets buckets;
  private final long lossAt;
  private final long unusableAt;
  private int microBatches;
  private double limit;

  /** Parameters from this one on are other ranks'. */
  private long end;

  /** Of the micro-batch at hand: parameters before this one are yet to be added. */
  private long left;

  private boolean usable = true;

  ExactGradientSum(long size, int places) {
    sums = arena.allocate((size + 2 + Flag.values().length + places) * Long.BYTES, 64);
    lossAt = size * Long.BYTES;
    end = size;
    left = size;
    buckets = new Buckets(sums, lossAt, ElementType.INT64);
    unusableAt = lossAt + Long.BYTES;
  }

  @Override
  public void start(int microBatches) {
    this.microBatches = microBatches;
    limit = FixedPoint.limit(microBatches);
    sums.fill((byte) 0);
    buckets.start();
    end = lossAt / Long.BYTES;
    nextMicroBatch();
  }

  private void nextMicroBatch() {
    left = end;
    usable = true;
  }

  @Override
  public void nothingFrom(Communicator ranks, long from) {
    end = from;
    left = from;
    buckets.send(ranks, from);
  }

  @Override
  public void add(MemorySegment gradients, double loss) {
    addFrom(gradients, 0);
    if (usable && Math.abs(loss) <= limit) {
      sums.set(LONG, lossAt, sums.get(LONG, lossAt) + FixedPoint.of(loss));
    } else {
      sums.set(LONG, unusableAt, sums.get(LONG, unusableAt) + 1);
    }
    nextMicroBatch();
  }

  @Override
  public void addEarly(Communicator ranks, MemorySegment gradients, long from, boolean last) {
    if (last) {
      addFrom(gradients, from);
      buckets.send(ranks, from);
    }
  }

  private void addFrom(MemorySegment gradients, long parameter) {
    long start = Profile.begin();
    long from = Math.min(parameter, left);
    Shard part = new Shard(from, left);
    usable &=
        FixedPoint.add(
            sums.asSlice(from * Long.BYTES, part.size() * Long.BYTES), part.of(gradients), limit);
    Profile.ended("exact sum", start, 0, 5 * part.size() * Float.BYTES);
    left = from;
  }

  @Override
  public void raise(Flag flag) {
    sums.set(LONG, offset(flag), 1);
  }

  @Override
  public int raised(Flag flag) {
    return Math.toIntExact(sums.get(LONG, offset(flag)));
  }

  @Override
  public void tell(int place, long number) {
    sums.set(LONG, offset(place), number);
  }

  @Override
  public long told(int place) {
    return sums.get(LONG, offset(place));
  }

  private long offset(int place) {
    return unusableAt + (1L + Flag.values().length + place) * Long.BYTES;
  }

  private long offset(Flag flag) {
    return unusableAt + (1 + flag.ordinal()) * (long) Long.BYTES;
  }

  @Override
  public double reduce(Communicator ranks, MemorySegment gradients, Duration timeout) {
    buckets.finish(ranks, timeout);
    long unusable = sums.get(LONG, unusableAt);
    if (unusable > 0) {
      throw new NonFiniteGradientException(
          "loss or gradient of %d of %d micro-batches is not a number, or beyond %.0f"
              .formatted(unusable, microBatches, limit));
    }
    long start = Profile.begin();
    FixedPoint.toFloats(sums, gradients);
    Profile.ended("exact sum to floats", start, 0, 3 * gradients.byteSize());
    return FixedPoint.toDouble(sums.get(LONG, lossAt));
  }

  @Override
  public long bytes() {
    return sums.byteSize();
  }

  @Override
  public void close() {
    buckets.letGo(GradientSum.LET_GO);
    arena.close();
  }
}
