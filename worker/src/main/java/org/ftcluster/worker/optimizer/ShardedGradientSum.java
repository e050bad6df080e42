package org.ftcluster.worker.optimizer;

import java.lang.foreign.MemorySegment;
import java.time.Duration;
import org.ftcluster.protocol.job.JobSpec.Reduction;
import org.ftcluster.worker.collective.Communicator;

/**
 * Sums of which each rank has a share, where each has values and gradients of all parameters. At
 * the end of the step sums go where the optimizer's shards are, if they aren't there.
 */
public final class ShardedGradientSum extends ShardedSum {
  private final ShardLayout layout;

  /**
   * @param layout of the optimizer's shards, which get the sums
   * @param region that the stage's ranks have gradients of
   * @param ranks among whose group the layout deals
   */
  public ShardedGradientSum(
      Reduction reduction, ShardLayout layout, Region region, Sharers ranks, Duration timeout) {
    super(reduction, region.runs(), ranks, timeout);
    this.layout = layout;
  }

  /** Each micro-batch's gradients are summed over the stage's ranks, not the last one's only. */
  @Override
  public void addEarly(Communicator all, MemorySegment gradients, long from, boolean last) {
    reduction.send(gradients, from);
  }

  @Override
  public void add(MemorySegment gradients, double loss) {
    tail.add(loss, reduction.taken(gradients));
  }

  @Override
  public void addNothing() {
    reduction.taken(null);
  }

  /**
   * @param gradients gets the sums of the optimizer's own shard; what else it holds is lost
   */
  @Override
  void handOut(MemorySegment gradients) {
    if (isWhereItBelongs()) {
      format.toFloats(sums.memory(), layout.own().of(gradients));
    } else {
      new SumDelivery(format, layout, ranks.group(), timeout).deliver(sums, gradients);
    }
  }

  private boolean isWhereItBelongs() {
    return ranks.stage().size() == ranks.group().size()
        && sums.runs().size() == 1
        && sums.runs().getFirst().own().equals(layout.own());
  }
}
