package org.ftcluster.worker.optimizer;

import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.List;
import org.ftcluster.protocol.job.JobSpec.Reduction;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.collective.Communicator.ReduceOp;
import org.ftcluster.worker.optimizer.StageSums.Run;
import org.jspecify.annotations.Nullable;

/**
 * Sums of which each rank has a share, where values are shared out as well: gradients come unit by
 * unit, and are gone when the next layer needs their room, so a unit is summed before the backward
 * goes on. Sums go beside the values that they update.
 */
public final class UnitGradientSum extends ShardedSum {
  /** Bytes that are on their way at once. */
  private static final long ROUND_BYTES = 4 << 20;

  private final OptimizerState state;

  /** Elements of each rank's part of a unit that go at once. */
  private final long chunk;

  private final MemorySegment outgoing;
  private final MemorySegment incoming;

  /** Of the micro-batch at hand, as far as it has been added. */
  private boolean usable = true;

  /**
   * @param layout of the optimizer's shards, unit by unit
   * @param state of this rank's shards, which get the sums of their gradients
   * @param ranks among whose group the layout deals; the group is one stage
   */
  public UnitGradientSum(
      Reduction reduction,
      ShardLayout layout,
      OptimizerState state,
      Sharers ranks,
      Duration timeout) {
    super(reduction, layout.units(), ranks, timeout);
    this.state = state;
    int size = ranks.stage().size();
    long bytes = format.sent().bytes();
    this.chunk = Math.clamp(sums.largest(), 1, Math.max(1, ROUND_BYTES / bytes / size));
    this.outgoing = arena.allocate(chunk * size * bytes, 64);
    this.incoming = arena.allocate(chunk * bytes, 64);
  }

  @Override
  public void addUnit(int unit, @Nullable MemorySegment gradients) {
    Run run = sums.runs().get(unit);
    for (long at = 0; at < run.division().largest(); at += chunk) {
      if (gradients == null) {
        outgoing.fill((byte) 0);
      } else {
        put(run, at, gradients);
      }
      receive(run, at);
    }
  }

  /** Each rank's part is as long as others', with zeros behind what there is. */
  private void put(Run run, long at, MemorySegment gradients) {
    Communicator stage = ranks.stage();
    long bytes = format.sent().bytes();
    for (int rank = 0; rank < stage.size(); rank++) {
      MemorySegment room = outgoing.asSlice(rank * chunk * bytes, chunk * bytes);
      Shard part = ShardedUpdate.chunk(run.of(rank), at, chunk);
      MemorySegment rest = room.asSlice(part.size() * bytes);
      rest.fill((byte) 0);
      usable &=
          format.put(
              room.asSlice(0, part.size() * bytes), part.in(gradients, run.start()), tail.limit());
    }
  }

  private void receive(Run run, long at) {
    ranks.stage().reduceScatter(outgoing, incoming, format.sent(), ReduceOp.SUM).await(timeout);
    Shard own = ShardedUpdate.chunk(run.own(), at, chunk);
    if (own.size() > 0) {
      format.add(
          run.sums(own, format.type()), incoming.asSlice(0, own.size() * format.sent().bytes()));
    }
  }

  /** Units are all there is. */
  @Override
  public void addEarly(Communicator all, MemorySegment gradients, long from, boolean last) {}

  /** All gradients have been added already. */
  @Override
  public void add(MemorySegment gradients, double loss) {
    tail.add(loss, usable);
    usable = true;
  }

  @Override
  void finish() {}

  /** Beside the optimizer's shards; nothing goes to {@code gradients}. */
  @Override
  void handOut(MemorySegment gradients) {
    List<Run> runs = sums.runs();
    for (int unit = 0; unit < runs.size(); unit++) {
      format.toFloats(runs.get(unit).sums(), state.ownPieces().get(unit).gradients());
    }
  }
}
