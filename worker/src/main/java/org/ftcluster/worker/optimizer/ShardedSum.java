package org.ftcluster.worker.optimizer;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.List;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.collective.Communicator.ReduceOp;

/**
 * A sum of which each rank has a share only (arXiv:1910.02054, stage 2): the gradients of all ranks
 * of a pipeline's stage are summed micro-batch by micro-batch, each parameter's on one of them, and
 * are on their way there while the backward that leaves them goes on ({@link StageReduction}).
 * These ranks add equally often, see {@link #addNothing}; stages don't wait for each other. Of
 * several groups each does this by itself, and once a step their sums are added.
 *
 * <p>Exact sums are those of {@link ExactGradientSum}, bit for bit.
 */
abstract sealed class ShardedSum implements GradientSum
    permits ShardedGradientSum, UnitGradientSum {
  private final Arena arena = Arena.ofShared();
  final SumMemory memory;
  final Sharers ranks;
  final Duration timeout;
  final StageSums sums;
  final StepTail tail;
  final StageReduction reduction;

  /**
   * @param memory where layers leave gradients, and which {@link Sharers#stage} is about
   * @param parts of the parameters, that the stage's ranks leave gradients of
   */
  ShardedSum(SumMemory memory, List<Shard> parts, Sharers ranks, Duration timeout) {
    this.memory = memory;
    this.ranks = ranks;
    this.timeout = timeout;
    this.tail = new StepTail(arena, ranks.all().size());
    try {
      this.sums = StageSums.allocate(memory, parts, ranks.stage());
      this.reduction = new StageReduction(memory, sums, ranks.stage(), timeout);
    } catch (RuntimeException | Error e) {
      memory.close();
      arena.close();
      throw e;
    }
  }

  @Override
  public final void start(int microBatches) {
    memory.clear(sums.memory());
    tail.start(microBatches);
    reduction.start(tail.limit());
  }

  @Override
  public final boolean waitsEarly() {
    return reduction.waits();
  }

  @Override
  public final void raise(Flag flag) {
    tail.raise(flag);
  }

  @Override
  public final int raised(Flag flag) {
    return tail.raised(flag);
  }

  @Override
  public final void tell(int place, long number) {
    tail.tell(place, number);
  }

  @Override
  public final long told(int place) {
    return tail.told(place);
  }

  /**
   * @param all ranks that this was made for
   */
  @Override
  public final double reduce(Communicator all, MemorySegment gradients, Duration timeout) {
    reduction.finish();
    bringTogether();
    if (ranks.areInGroups() && sums.memory().byteSize() > 0) {
      ranks.twins().allReduce(sums.memory(), memory.format().type(), ReduceOp.SUM).await(timeout);
    }
    if (!memory.areUsable(sums.memory())) {
      tail.addUnusable();
    }
    double loss = tail.reduce(all, timeout);
    handOut(gradients);
    return loss;
  }

  /** Where several stages have summed gradients of the same parameters by themselves. */
  void bringTogether() {}

  /** To where the update finds them; see {@link #reduce}. */
  abstract void handOut(MemorySegment gradients);

  @Override
  public final long bytes() {
    return sums.memory().byteSize();
  }

  @Override
  public final void close() {
    reduction.close();
    memory.close();
    arena.close();
  }
}
