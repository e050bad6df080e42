package org.ftcluster.worker.training;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.job.JobSpec.Sharding;
import org.ftcluster.worker.checkpoint.Snapshot;
import org.ftcluster.worker.checkpoint.TrainingState;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.collective.Work;
import org.ftcluster.worker.model.ParameterBuffer;
import org.ftcluster.worker.optimizer.AdamW;
import org.ftcluster.worker.optimizer.GradientSum;
import org.ftcluster.worker.optimizer.OptimizerState.Piece;
import org.ftcluster.worker.optimizer.ParameterUpdate;
import org.ftcluster.worker.optimizer.Region;
import org.ftcluster.worker.optimizer.Shard;
import org.ftcluster.worker.optimizer.ShardLayout;
import org.ftcluster.worker.optimizer.ShardedGradientSum;
import org.ftcluster.worker.optimizer.ShardedUpdate;
import org.ftcluster.worker.parallel.MeshRanks;
import org.ftcluster.worker.tensor.FiledMemory;
import org.jspecify.annotations.Nullable;

/** How the ranks of a generation hold a job's state: each all of it, or in shards. */
final class StateSharing {
  private final JobSpec spec;
  private final TrainingState state;
  private final MeshRanks mesh;
  private final Communicator ranks;
  private final ShardLayout layout;
  private final Duration timeout;

  StateSharing(JobSpec spec, TrainingState state, MeshRanks mesh, Duration timeout) {
    this.spec = spec;
    this.state = state;
    this.mesh = mesh;
    this.ranks = mesh.all();
    this.timeout = timeout;
    this.layout =
        new ShardLayout(
            state.parameters().size(), ranks.rank(), ranks.size(), spec.parallel().mirror());
  }

  /** Whether ranks of the job may have shards. */
  static boolean isAskedFor(JobSpec spec) {
    return spec.parallel().sharding() != Sharding.NONE;
  }

  ShardLayout layout() {
    return layout;
  }

  /** Whether a rank alone hasn't got all. */
  boolean isShared() {
    return isAskedFor(spec) && ranks.size() > 1;
  }

  private boolean sharesGradients() {
    return isShared()
        && switch (spec.parallel().sharding()) {
          case NONE, ZERO1 -> false;
          case ZERO2, ZERO3 -> true;
        };
  }

  /**
   * Where gradients are summed; to be closed.
   *
   * @param trained what the ranks of this rank's stage leave gradients of
   */
  GradientSum newSum(List<ParameterBuffer.Slice> trained) {
    JobSpec.Reduction reduction = spec.training().reduction();
    return sharesGradients()
        ? new ShardedGradientSum(
            reduction, layout, Region.of(trained), mesh.stage(), ranks, timeout)
        : GradientSum.of(reduction, layout.size(), ranks.size());
  }

  ParameterUpdate update() {
    JobSpec.Training training = spec.training();
    AdamW adamW =
        new AdamW(
            training.adamBeta1(),
            training.adamBeta2(),
            training.adamEpsilon(),
            training.weightDecay());
    return isShared()
        ? new ShardedUpdate(
            adamW, state.parameters(), state.optimizer(), ranks, sharesGradients(), timeout)
        : new ParameterUpdate.Whole(adamW, state.parameters(), state.optimizer());
  }

  /** A copy of all of the state, on rank 0; null on the others. All ranks call it. */
  @Nullable Snapshot copy() {
    if (isShared()) {
      return gathered();
    }
    return ranks.rank() == 0 ? Snapshot.copyOf(state) : null;
  }

  /** The same, which may change with the state. */
  @Nullable Snapshot view() {
    if (isShared()) {
      return gathered();
    }
    return ranks.rank() == 0 ? Snapshot.viewOf(state) : null;
  }

  private @Nullable Snapshot gathered() {
    Piece own = state.optimizer().pieces().getFirst();
    List<Work> transfers = new ArrayList<>();
    if (ranks.rank() > 0) {
      transfers.add(ranks.send(own.firstMoment(), 0));
      transfers.add(ranks.send(own.secondMoment(), 0));
      transfers.forEach(transfer -> transfer.await(timeout));
      FiledMemory.letGo(own.firstMoment());
      FiledMemory.letGo(own.secondMoment());
      return null;
    }
    Arena arena = Arena.ofShared();
    MemorySegment first = state.optimizer().roomForCopy(arena, layout.size() * Float.BYTES);
    MemorySegment second = state.optimizer().roomForCopy(arena, layout.size() * Float.BYTES);
    FiledMemory.copy(own.firstMoment(), own.shard().of(first));
    FiledMemory.copy(own.secondMoment(), own.shard().of(second));
    for (int rank = 1; rank < ranks.size(); rank++) {
      Shard theirs = layout.of(rank);
      transfers.add(ranks.recv(theirs.of(first), rank));
      transfers.add(ranks.recv(theirs.of(second), rank));
    }
    // Where this fails the memory stays, for as long as the connections might still write to it.
    transfers.forEach(transfer -> transfer.await(timeout));
    FiledMemory.letGo(first);
    FiledMemory.letGo(second);
    return Snapshot.of(arena, state, first, second);
  }
}
