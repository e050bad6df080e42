package org.ftcluster.worker.optimizer;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.ftcluster.protocol.job.JobSpec.Reduction;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.collective.Communicator.ElementType;
import org.ftcluster.worker.collective.Communicator.ReduceOp;
import org.ftcluster.worker.tensor.kernel.RowOps;
import org.jspecify.annotations.Nullable;

/**
 * Sums of which each rank has a share only (arXiv:1910.02054, stage 2): after every micro-batch the
 * gradients of all ranks of a pipeline's stage are summed, chunk by chunk, each chunk on one of
 * them. These ranks add equally often, see {@link #addNothing}; stages don't wait for each other.
 * At the end of the step sums go where the optimizer's shards are, if they aren't there. Where
 * values are shared out as well, gradients come unit by unit, and sums go beside the values. Of
 * several groups each does all of this by itself, and once a step their sums are added.
 *
 * <p>Exact sums are those of {@link ExactGradientSum}, bit for bit.
 */
public final class ShardedGradientSum implements GradientSum {
  /** Bytes that are on their way at once. */
  private static final long ROUND_BYTES = 4 << 20;

  private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG;
  private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT;

  private final Arena arena = Arena.ofShared();
  private final Reduction reduction;

  /** Of sums. */
  private final ElementType type;

  /** Of a micro-batch's gradients on their way. */
  private final ElementType sent;

  private final ShardLayout layout;
  private final List<Run> runs = new ArrayList<>();
  private final Sharers ranks;
  private final Duration timeout;

  /** Whose shards get the sums of units; null where gradients come as a whole. */
  private final @Nullable OptimizerState state;

  /** Elements of each share that go at once among the ranks of a stage. */
  private final long chunk;

  /**
   * Elements of each share that go at once from stages, which differ, to the optimizer's shards.
   */
  private final long delivered;

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

  /** Of the micro-batch at hand, as far as it has been added. */
  private boolean usable = true;

  /**
   * Neighbouring parameters that the stage's ranks divide among themselves.
   *
   * @param start of the first one among all
   * @param sums of this rank's part
   */
  private record Run(long start, ShardLayout division, MemorySegment sums) {
    Shard all() {
      return new Shard(start, start + division.size());
    }

    /** A rank's part, among all parameters. */
    Shard of(int rank) {
      Shard part = division.of(rank);
      return new Shard(start + part.from(), start + part.to());
    }

    Shard own() {
      return of(division.rank());
    }
  }

  /**
   * @param layout of the optimizer's shards, which get the sums
   * @param region that the stage's ranks have gradients of
   * @param ranks among whose group the layout deals
   */
  public ShardedGradientSum(
      Reduction reduction, ShardLayout layout, Region region, Sharers ranks, Duration timeout) {
    this(reduction, layout, region.runs(), ranks, null, timeout);
  }

  /**
   * Where values are shared out as well.
   *
   * @param state of this rank's shards, which get the sums of their gradients
   * @param ranks among whose group the layout deals; the group is one stage
   */
  public ShardedGradientSum(
      Reduction reduction,
      ShardLayout layout,
      OptimizerState state,
      Sharers ranks,
      Duration timeout) {
    this(reduction, layout, layout.units(), ranks, state, timeout);
  }

  private ShardedGradientSum(
      Reduction reduction,
      ShardLayout layout,
      List<Shard> parts,
      Sharers ranks,
      @Nullable OptimizerState state,
      Duration timeout) {
    this.state = state;
    this.reduction = reduction;
    this.type = reduction == Reduction.EXACT ? ElementType.INT64 : ElementType.FLOAT32;
    this.sent = reduction == Reduction.BFLOAT16 ? ElementType.BFLOAT16 : type;
    this.layout = layout;
    this.ranks = ranks;
    this.timeout = timeout;
    Communicator stage = ranks.stage();
    List<ShardLayout> divisions =
        parts.stream()
            .map(run -> new ShardLayout(run.size(), stage.rank(), stage.size(), false))
            .toList();
    long own = divisions.stream().mapToLong(division -> division.own().size()).sum();
    sums = arena.allocate(own * type.bytes(), 64);
    long at = 0;
    for (int i = 0; i < divisions.size(); i++) {
      long bytes = divisions.get(i).own().size() * type.bytes();
      runs.add(new Run(parts.get(i).from(), divisions.get(i), sums.asSlice(at, bytes)));
      at += bytes;
    }
    long largest = divisions.stream().mapToLong(ShardLayout::largest).max().orElse(0);
    long most = Math.max(1, ROUND_BYTES / type.bytes() / ranks.group().size());
    this.chunk = Math.clamp(largest, 1, most);
    this.delivered = state == null ? Math.clamp(layout.largest(), 1, most) : 0;
    long room = Math.max(chunk, delivered);
    outgoing = arena.allocate(room * ranks.group().size() * type.bytes(), 64);
    incoming = arena.allocate(room * type.bytes(), 64);
    tail = arena.allocate(LONG, 2L + Flag.values().length + ranks.all().size());
  }

  @Override
  public void start(int microBatches) {
    this.microBatches = microBatches;
    limit = FixedPoint.limit(microBatches);
    sums.fill((byte) 0);
    tail.fill((byte) 0);
    usable = true;
  }

  @Override
  public void add(MemorySegment gradients, double loss) {
    if (state == null) {
      runs.forEach(run -> add(run, run.all().of(gradients)));
    }
    usable &= Math.abs(loss) <= limit;
    if (usable) {
      tail.setAtIndex(LONG, 0, tail.getAtIndex(LONG, 0) + FixedPoint.of(loss));
    } else {
      tail.setAtIndex(LONG, 1, tail.getAtIndex(LONG, 1) + 1);
    }
    usable = true;
  }

  @Override
  public void addUnit(int unit, @Nullable MemorySegment gradients) {
    add(runs.get(unit), gradients);
  }

  @Override
  public void addNothing() {
    if (state == null) {
      runs.forEach(run -> add(run, null));
    }
  }

  /**
   * @param gradients of that run; null where this rank has none
   */
  private void add(Run run, @Nullable MemorySegment gradients) {
    for (long at = 0; at < run.division().largest(); at += chunk) {
      outgoing.fill((byte) 0);
      for (int rank = 0; gradients != null && rank < ranks.stage().size(); rank++) {
        Shard part = ShardedUpdate.chunk(run.of(rank), at, chunk);
        usable &= put(room(rank, part, chunk, sent), part.in(gradients, run.start()));
      }
      addAll(run, at);
    }
  }

  /** Where what goes to a rank is on its way. */
  private MemorySegment room(int rank, Shard part, long most, ElementType type) {
    return outgoing.asSlice(rank * most * type.bytes(), part.size() * type.bytes());
  }

  /** Returns whether they can be used. */
  private boolean put(MemorySegment target, MemorySegment gradients) {
    return switch (reduction) {
      case EXACT -> FixedPoint.add(target, gradients, limit);
      case FAST -> {
        target.copyFrom(gradients);
        yield true;
      }
      case BFLOAT16 -> {
        RowOps.toBfloat16(target, gradients);
        yield Double.isFinite(GradientClip.norm(gradients)); // whatever rounding makes of it
      }
    };
  }

  /** What the stage's ranks have for this one. */
  private void addAll(Run run, long at) {
    Communicator stage = ranks.stage();
    MemorySegment rooms = outgoing.asSlice(0, chunk * stage.size() * sent.bytes());
    MemorySegment sum = incoming.asSlice(0, chunk * sent.bytes());
    stage.reduceScatter(rooms, sum, sent, ReduceOp.SUM).await(timeout);
    Shard part = ShardedUpdate.chunk(new Shard(0, run.division().own().size()), at, chunk);
    MemorySegment own = run.sums().asSlice(part.from() * type.bytes(), part.size() * type.bytes());
    switch (reduction) {
      case EXACT -> {
        for (long i = 0; i < part.size(); i++) {
          own.setAtIndex(LONG, i, own.getAtIndex(LONG, i) + sum.getAtIndex(LONG, i));
        }
      }
      case FAST -> {
        for (long i = 0; i < part.size(); i++) {
          own.setAtIndex(FLOAT, i, own.getAtIndex(FLOAT, i) + sum.getAtIndex(FLOAT, i));
        }
      }
      case BFLOAT16 -> RowOps.addBfloat16(own, sum.asSlice(0, part.size() * sent.bytes()));
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
   * @param all ranks that this was made for
   * @param gradients gets the sums of the optimizer's own shard, and what else it holds is lost;
   *     left alone where gradients came unit by unit
   */
  @Override
  public double reduce(Communicator all, MemorySegment gradients, Duration timeout) {
    if (ranks.areInGroups() && sums.byteSize() > 0) {
      ranks.twins().allReduce(sums, type, ReduceOp.SUM).await(timeout);
    }
    if (type == ElementType.FLOAT32 && !Double.isFinite(GradientClip.norm(sums))) {
      tail.setAtIndex(LONG, 1, tail.getAtIndex(LONG, 1) + 1);
    }
    all.allReduce(tail, ElementType.INT64, ReduceOp.SUM).await(timeout);
    long unusable = tail.getAtIndex(LONG, 1);
    if (unusable > 0) {
      throw new NonFiniteGradientException(
          "loss or gradient of %d of %d micro-batches is not a number, or beyond %.0f"
              .formatted(Math.min(unusable, microBatches), microBatches, limit));
    }
    if (state != null) {
      for (int unit = 0; unit < runs.size(); unit++) {
        toFloats(runs.get(unit).sums(), state.ownPieces().get(unit).gradients());
      }
    } else if (isWhereItBelongs()) {
      toFloats(sums, layout.own().of(gradients));
    } else {
      deliver(gradients);
    }
    return FixedPoint.toDouble(tail.getAtIndex(LONG, 0));
  }

  private boolean isWhereItBelongs() {
    return ranks.stage().size() == ranks.group().size()
        && runs.size() == 1
        && runs.getFirst().own().equals(layout.own());
  }

  /** To the optimizer's shards, from whichever stage has summed them. */
  private void deliver(MemorySegment gradients) {
    MemorySegment rooms = outgoing.asSlice(0, delivered * ranks.group().size() * type.bytes());
    MemorySegment arrived = incoming.asSlice(0, delivered * type.bytes());
    for (long at = 0; at < layout.largest(); at += delivered) {
      rooms.fill((byte) 0);
      for (int rank = 0; rank < ranks.group().size(); rank++) {
        Shard wanted = ShardedUpdate.chunk(layout.of(rank), at, delivered);
        for (Run run : runs) {
          Shard here = run.own().and(wanted);
          in(room(rank, wanted, delivered, type), here, wanted)
              .copyFrom(in(run.sums(), here, run.own()));
        }
      }
      ranks.group().reduceScatter(rooms, arrived, type, ReduceOp.SUM).await(timeout);
      Shard part = ShardedUpdate.chunk(layout.own(), at, delivered);
      toFloats(arrived.asSlice(0, part.size() * type.bytes()), part.of(gradients));
    }
  }

  /** Of sums of the parameters {@code whole} those of {@code part}; nothing where that is empty. */
  private MemorySegment in(MemorySegment sums, Shard part, Shard whole) {
    return part.size() == 0
        ? MemorySegment.NULL
        : sums.asSlice((part.from() - whole.from()) * type.bytes(), part.size() * type.bytes());
  }

  private void toFloats(MemorySegment sums, MemorySegment gradients) {
    if (type == ElementType.INT64) {
      FixedPoint.toFloats(sums, gradients);
    } else {
      gradients.copyFrom(sums);
    }
  }

  @Override
  public long bytes() {
    return sums.byteSize();
  }

  @Override
  public void close() {
    arena.close();
  }
}
