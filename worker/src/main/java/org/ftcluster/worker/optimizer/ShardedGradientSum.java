package org.ftcluster.worker.optimizer;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import org.ftcluster.protocol.job.JobSpec.Reduction;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.collective.Communicator.ElementType;
import org.ftcluster.worker.collective.Communicator.ReduceOp;

/**
 * Sums of which each rank has its own shard's only (arXiv:1910.02054, stage 2): after every
 * micro-batch all ranks' gradients are summed, chunk by chunk, each chunk where it belongs. All
 * ranks add equally often, see {@link #addNothing}.
 *
 * <p>Exact sums are those of {@link ExactGradientSum}, bit for bit.
 */
public final class ShardedGradientSum implements GradientSum {
  /** Bytes that are on their way at once. */
  private static final long ROUND_BYTES = 4 << 20;

  private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG;
  private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT;

  private final Arena arena = Arena.ofShared();
  private final ElementType type;
  private final ShardLayout layout;
  private final Communicator ranks;
  private final Duration timeout;

  /** Elements of each shard that go at once. */
  private final long chunk;

  private final MemorySegment sums;
  private final MemorySegment outgoing;
  private final MemorySegment incoming;

  /**
   * int64: the loss in fixed point, what can't be used, how many ranks raised each flag, and what
   * ranks tell each other.
   */
  private final MemorySegment tail;

  private int microBatches;
  private double limit;

  /**
   * @param layout of the ranks
   */
  public ShardedGradientSum(
      Reduction reduction, ShardLayout layout, Communicator ranks, Duration timeout) {
    this.type =
        switch (reduction) {
          case EXACT -> ElementType.INT64;
          case FAST -> ElementType.FLOAT32;
        };
    this.layout = layout;
    this.ranks = ranks;
    this.timeout = timeout;
    long most = Math.max(1, ROUND_BYTES / type.bytes() / layout.ranks());
    this.chunk = Math.min(Math.max(1, layout.largest()), most);
    sums = arena.allocate(layout.own().size() * type.bytes(), 64);
    outgoing = arena.allocate(chunk * layout.ranks() * type.bytes(), 64);
    incoming = arena.allocate(chunk * type.bytes(), 64);
    tail = arena.allocate(LONG, 2L + Flag.values().length + ranks.size());
  }

  @Override
  public void start(int microBatches) {
    this.microBatches = microBatches;
    limit = FixedPoint.limit(microBatches);
    sums.fill((byte) 0);
    tail.fill((byte) 0);
  }

  @Override
  public void add(MemorySegment gradients, double loss) {
    boolean usable = Math.abs(loss) <= limit;
    for (long at = 0; at < layout.largest(); at += chunk) {
      outgoing.fill((byte) 0);
      for (int rank = 0; rank < layout.ranks(); rank++) {
        Shard part = ShardedUpdate.chunk(layout.of(rank), at, chunk);
        MemorySegment target =
            outgoing.asSlice(rank * chunk * type.bytes(), part.size() * type.bytes());
        usable &= put(target, part.of(gradients));
      }
      addAll(at);
    }
    if (usable) {
      tail.setAtIndex(LONG, 0, tail.getAtIndex(LONG, 0) + FixedPoint.of(loss));
    } else {
      tail.setAtIndex(LONG, 1, tail.getAtIndex(LONG, 1) + 1);
    }
  }

  @Override
  public void addNothing() {
    for (long at = 0; at < layout.largest(); at += chunk) {
      outgoing.fill((byte) 0);
      addAll(at);
    }
  }

  /** Returns whether they can be used. */
  private boolean put(MemorySegment target, MemorySegment gradients) {
    if (type == ElementType.INT64) {
      return FixedPoint.add(target, gradients, limit);
    }
    target.copyFrom(gradients);
    return true;
  }

  /** What all ranks have for this one. */
  private void addAll(long at) {
    ranks.reduceScatter(outgoing, incoming, type, ReduceOp.SUM).await(timeout);
    Shard part = ShardedUpdate.chunk(new Shard(0, layout.own().size()), at, chunk);
    MemorySegment own = sums.asSlice(part.from() * type.bytes(), part.size() * type.bytes());
    if (type == ElementType.INT64) {
      for (long i = 0; i < part.size(); i++) {
        own.setAtIndex(LONG, i, own.getAtIndex(LONG, i) + incoming.getAtIndex(LONG, i));
      }
    } else {
      for (long i = 0; i < part.size(); i++) {
        own.setAtIndex(FLOAT, i, own.getAtIndex(FLOAT, i) + incoming.getAtIndex(FLOAT, i));
      }
    }
  }

  @Override
  public void raise(Flag flag) {
    tail.setAtIndex(LONG, 2L + flag.ordinal(), 1);
  }

  @Override
  public int raised(Flag flag) {
    return Math.toIntExact(tail.getAtIndex(LONG, 2L + flag.ordinal()));
  }

  @Override
  public void tell(int place, long number) {
    tail.setAtIndex(LONG, 2L + Flag.values().length + place, number);
  }

  @Override
  public long told(int place) {
    return tail.getAtIndex(LONG, 2L + Flag.values().length + place);
  }

  /**
   * @param ranks those that this was made for
   * @param gradients gets the sums of the own shard; the others stay as they are
   */
  @Override
  public double reduce(Communicator ranks, MemorySegment gradients, Duration timeout) {
    if (type == ElementType.FLOAT32 && !Double.isFinite(GradientClip.norm(sums))) {
      tail.setAtIndex(LONG, 1, tail.getAtIndex(LONG, 1) + 1);
    }
    ranks.allReduce(tail, ElementType.INT64, ReduceOp.SUM).await(timeout);
    long unusable = tail.getAtIndex(LONG, 1);
    if (unusable > 0) {
      throw new NonFiniteGradientException(
          "loss or gradient of %d of %d micro-batches is not a number, or beyond %.0f"
              .formatted(Math.min(unusable, microBatches), microBatches, limit));
    }
    MemorySegment own = layout.own().of(gradients);
    if (type == ElementType.INT64) {
      FixedPoint.toFloats(sums, own);
    } else {
      own.copyFrom(sums);
    }
    return FixedPoint.toDouble(tail.getAtIndex(LONG, 0));
  }

  @Override
  public void close() {
    arena.close();
  }
}
