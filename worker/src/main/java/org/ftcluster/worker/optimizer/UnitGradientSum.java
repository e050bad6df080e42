package org.ftcluster.worker.optimizer;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.time.Duration;
import java.util.List;
import org.ftcluster.protocol.job.JobSpec.Reduction;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.collective.Work;
import org.ftcluster.worker.optimizer.StageSums.Run;
import org.ftcluster.worker.parallel.UnitStages;
import org.ftcluster.worker.tensor.Accelerator;
import org.jspecify.annotations.Nullable;

/**
 * Sums of which each rank has a share, where values are shared out as well: gradients come unit by
 * unit, and stay where they are only until another unit needs their room. Sums go beside the values
 * that they update.
 *
 * <p>A stage sums the units that it computes with. What it has only borrowed of another stage goes
 * there once a step, from each of its ranks to the one that has the same share.
 */
public final class UnitGradientSum extends ShardedSum {
  /** Bytes of borrowed units' sums that are on their way at once. */
  private static final long ROUND_BYTES = 4 << 20;

  private final ShardLayout layout;
  private final OptimizerState state;

  /** That this rank's stage computes with, in the order of the sums' runs. */
  private final List<Integer> units;

  /**
   * @param layout of the optimizer's shards, unit by unit
   * @param state of this rank's shards, which get the sums of their gradients
   * @param ranks among whose group the layout deals
   * @param device where units leave their gradients, and they are summed; null for the host
   */
  public UnitGradientSum(
      Reduction reduction,
      ShardLayout layout,
      OptimizerState state,
      Sharers ranks,
      Duration timeout,
      @Nullable Accelerator device) {
    super(
        SumMemory.of(reduction, device),
        usedHere(layout).stream().map(layout.units()::get).toList(),
        ranks,
        timeout);
    this.layout = layout;
    this.state = state;
    this.units = usedHere(layout);
  }

  private static List<Integer> usedHere(ShardLayout layout) {
    return layout.stages().usedBy(layout.stages().stage(layout.rank()));
  }

  private Run run(int unit) {
    return sums.runs().get(units.indexOf(unit));
  }

  @Override
  public Work addUnit(int unit, @Nullable MemorySegment gradients) {
    return reduction.send(run(unit), gradients);
  }

  /** Units are all there is. */
  @Override
  public void addEarly(Communicator all, MemorySegment gradients, long from, boolean last) {}

  /** All gradients are on their way already. */
  @Override
  public void add(MemorySegment gradients, double loss) {
    reduction.whenTaken(usable -> tail.add(loss, usable));
  }

  @Override
  void bringTogether() {
    UnitStages stages = layout.stages();
    int place = stages.place(layout.rank());
    int stage = stages.stage(layout.rank());
    for (int unit : units) {
      if (stages.owner(unit) != stage) {
        giveBack(run(unit).sums(), stages.rank(stages.owner(unit), place));
      } else {
        for (int borrower : stages.borrowers(unit)) {
          takeBack(run(unit).sums(), stages.rank(borrower, place));
        }
      }
    }
  }

  private void giveBack(MemorySegment own, int owner) {
    try (Arena arena = Arena.ofShared()) {
      MemorySegment room = arena.allocate(Math.min(own.byteSize(), ROUND_BYTES), 64);
      SegmentAllocator again = SegmentAllocator.prefixAllocator(room);
      for (long at = 0; at < own.byteSize(); at += ROUND_BYTES) {
        ranks.group().send(memory.onHost(again, round(own, at)), owner).await(timeout);
      }
    }
  }

  private void takeBack(MemorySegment own, int borrower) {
    try (Arena room = Arena.ofShared()) {
      MemorySegment received = room.allocate(Math.min(own.byteSize(), ROUND_BYTES), 64);
      for (long at = 0; at < own.byteSize(); at += ROUND_BYTES) {
        MemorySegment sum = round(own, at);
        MemorySegment theirs = received.asSlice(0, sum.byteSize());
        ranks.group().recv(theirs, borrower).await(timeout);
        memory.addSums(sum, theirs);
      }
    }
  }

  private static MemorySegment round(MemorySegment own, long at) {
    return own.asSlice(at, Math.min(ROUND_BYTES, own.byteSize() - at));
  }

  /** Beside the optimizer's shards; nothing goes to {@code gradients}. */
  @Override
  void handOut(MemorySegment gradients) {
    for (int unit : units) {
      MemorySegment own = state.ownPieces().get(unit).gradients();
      if (own.byteSize() > 0) {
        memory.toFloats(run(unit).sums(), own);
      }
    }
  }
}
