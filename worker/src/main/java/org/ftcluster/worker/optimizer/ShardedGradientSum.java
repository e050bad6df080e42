package org.ftcluster.worker.optimizer;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import org.ftcluster.protocol.job.JobSpec.Reduction;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.model.DeviceParameters;
import org.jspecify.annotations.Nullable;

/**
 * Sums of which each rank has a share, where each has values and gradients of all parameters. At
 * the end of the step sums go where the optimizer's shards are, if they aren't there.
 */
public final class ShardedGradientSum extends ShardedSum {
  private final ShardLayout layout;
  private final @Nullable DeviceParameters device;

  /**
   * @param layout of the optimizer's shards, which get the sums
   * @param region that the stage's ranks have gradients of
   * @param ranks among whose group the layout deals
   * @param device whose gradients are summed, where they are; null where they come to the host
   */
  public ShardedGradientSum(
      Reduction reduction,
      ShardLayout layout,
      Region region,
      Sharers ranks,
      Duration timeout,
      @Nullable DeviceParameters device) {
    super(
        SumMemory.of(reduction, device == null ? null : device.device()),
        region.runs(),
        ranks,
        timeout);
    this.layout = layout;
    this.device = device;
  }

  @Override
  public boolean takesFromDevice() {
    return device != null;
  }

  private MemorySegment source(MemorySegment gradients) {
    return device == null ? gradients : device.gradients();
  }

  /** Each micro-batch's gradients are summed over the stage's ranks, not the last one's only. */
  @Override
  public void addEarly(Communicator all, MemorySegment gradients, long from, boolean last) {
    reduction.send(source(gradients), from);
  }

  @Override
  public void add(MemorySegment gradients, double loss) {
    tail.add(loss, reduction.taken(source(gradients)));
  }

  @Override
  public void addNothing() {
    reduction.taken(null);
  }

  /**
   * @param gradients the host's, gets the sums of the optimizer's own shard; what else it holds is
   *     lost
   */
  @Override
  void handOut(MemorySegment gradients) {
    if (isWhereItBelongs()) {
      memory.toFloats(sums.memory(), layout.own().of(gradients));
      return;
    }
    try (Arena copies = Arena.ofShared()) {
      new SumDelivery(memory.format(), layout, ranks.group(), timeout)
          .deliver(sums.onHost(copies, memory), gradients);
    }
  }

  private boolean isWhereItBelongs() {
    return ranks.stage().size() == ranks.group().size()
        && sums.runs().size() == 1
        && sums.runs().getFirst().own().equals(layout.own());
  }
}
