package org.ftcluster.worker.optimizer;

import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.List;
import org.ftcluster.protocol.job.JobSpec.Reduction;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.collective.Work;
import org.ftcluster.worker.optimizer.StageSums.Run;
import org.jspecify.annotations.Nullable;

/**
 * Sums of which each rank has a share, where values are shared out as well: gradients come unit by
 * unit, and stay where they are only until another unit needs their room. Sums go beside the values
 * that they update.
 */
public final class UnitGradientSum extends ShardedSum {
  private final OptimizerState state;

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
  }

  @Override
  public Work addUnit(int unit, @Nullable MemorySegment gradients) {
    return reduction.send(sums.runs().get(unit), gradients);
  }

  /** Units are all there is. */
  @Override
  public void addEarly(Communicator all, MemorySegment gradients, long from, boolean last) {}

  /** All gradients are on their way already. */
  @Override
  public void add(MemorySegment gradients, double loss) {
    reduction.whenTaken(usable -> tail.add(loss, usable));
  }

  /** Beside the optimizer's shards; nothing goes to {@code gradients}. */
  @Override
  void handOut(MemorySegment gradients) {
    List<Run> runs = sums.runs();
    for (int unit = 0; unit < runs.size(); unit++) {
      format.toFloats(runs.get(unit).sums(), state.ownPieces().get(unit).gradients());
    }
  }
}
