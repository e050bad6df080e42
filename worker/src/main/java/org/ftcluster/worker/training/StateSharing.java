package org.ftcluster.worker.training;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.job.JobSpec.Sharding;
import org.ftcluster.worker.checkpoint.Snapshot;
import org.ftcluster.worker.checkpoint.TrainingState;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.collective.Work;
import org.ftcluster.worker.model.ParameterBuffer;
import org.ftcluster.worker.model.ParameterUnit;
import org.ftcluster.worker.optimizer.AdamW;
import org.ftcluster.worker.optimizer.FullyShardedUpdate;
import org.ftcluster.worker.optimizer.GradientSum;
import org.ftcluster.worker.optimizer.OptimizerState.Piece;
import org.ftcluster.worker.optimizer.ParameterUpdate;
import org.ftcluster.worker.optimizer.Region;
import org.ftcluster.worker.optimizer.Shard;
import org.ftcluster.worker.optimizer.ShardLayout;
import org.ftcluster.worker.optimizer.ShardedGradientSum;
import org.ftcluster.worker.optimizer.ShardedUpdate;
import org.ftcluster.worker.optimizer.Sharers;
import org.ftcluster.worker.parallel.MeshRanks;
import org.ftcluster.worker.tensor.FiledMemory;
import org.jspecify.annotations.Nullable;

/** How the ranks of a generation hold a job's state: each all of it, or in shards. */
final class StateSharing {
  private final JobSpec spec;
  private final TrainingState state;
  private final MeshRanks mesh;

  /** Those that hold all of it between them. */
  private final Communicator ranks;

  private final ShardLayout layout;
  private final Duration timeout;

  StateSharing(JobSpec spec, TrainingState state, MeshRanks mesh, Duration timeout) {
    this.spec = spec;
    this.state = state;
    this.mesh = mesh;
    this.ranks = mesh.group();
    this.timeout = timeout;
    // Other groups are mirrors enough.
    boolean mirrored = spec.parallel().mirror() && mesh.mesh().groups() == 1;
    this.layout =
        spec.sharesValues()
            ? new ShardLayout(units(state), ranks.rank(), ranks.size(), mirrored)
            : new ShardLayout(state.parameters().size(), ranks.rank(), ranks.size(), mirrored);
  }

  private static List<Shard> units(TrainingState state) {
    return ParameterUnit.of(state.parameters()).stream()
        .map(unit -> new Shard(unit.from(), unit.to()))
        .toList();
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
    if (layout.sharesValues()) {
      return new ShardedGradientSum(reduction, layout, state.optimizer(), sharers(), timeout);
    }
    return sharesGradients()
        ? new ShardedGradientSum(reduction, layout, Region.of(trained), sharers(), timeout)
        : GradientSum.of(reduction, layout.size(), mesh.all().size());
  }

  private Sharers sharers() {
    return new Sharers(mesh.all(), mesh.group(), mesh.stage(), mesh.twins());
  }

  ParameterUpdate update() {
    JobSpec.Training training = spec.training();
    AdamW adamW =
        new AdamW(
            training.adamBeta1(),
            training.adamBeta2(),
            training.adamEpsilon(),
            training.weightDecay());
    if (layout.sharesValues()) {
      return new FullyShardedUpdate(
          adamW, state.parameters().slices(), state.optimizer(), sharers(), timeout);
    }
    return isShared()
        ? new ShardedUpdate(
            adamW, state.parameters(), state.optimizer(), sharers(), sharesGradients(), timeout)
        : new ParameterUpdate.Whole(adamW, state.parameters(), state.optimizer());
  }

  /** A copy of all of the state, on rank 0; null on the others. All ranks call it. */
  @Nullable Snapshot copy() {
    if (isShared()) {
      return gathered();
    }
    return mesh.all().rank() == 0 ? Snapshot.copyOf(state) : null;
  }

  /** The same, which may change with the state. */
  @Nullable Snapshot view() {
    if (isShared()) {
      return gathered();
    }
    return mesh.all().rank() == 0 ? Snapshot.viewOf(state) : null;
  }

  private @Nullable Snapshot gathered() {
    if (!isInFirstGroup()) {
      return null;
    }
    // Where this fails the memory stays, for as long as the connections might still write to it.
    Arena arena = Arena.ofShared();
    long bytes = ranks.rank() == 0 ? layout.size() * Float.BYTES : 0;
    MemorySegment first = state.optimizer().roomForCopy(arena, bytes);
    MemorySegment second = state.optimizer().roomForCopy(arena, bytes);
    MemorySegment values = state.optimizer().roomForCopy(arena, layout.sharesValues() ? bytes : 0);
    gather(Piece::firstMoment, first);
    gather(Piece::secondMoment, second);
    if (layout.sharesValues()) {
      gather(Piece::values, values);
    }
    if (ranks.rank() > 0) {
      arena.close();
      return null;
    }
    return layout.sharesValues()
        ? Snapshot.of(arena, state, values, first, second)
        : Snapshot.of(arena, state, first, second);
  }

  /**
   * Where ranks share out values, puts all of them where rank 0 has its parameters: they are there
   * until {@link ParameterBuffer#release}. All ranks call it.
   */
  void gatherValues() {
    if (layout.sharesValues() && isInFirstGroup()) {
      gather(Piece::values, state.parameters().values());
    }
  }

  private boolean isInFirstGroup() {
    return mesh.all().rank() < ranks.size();
  }

  /**
   * Brings what the first group's ranks have of something to rank 0.
   *
   * @param all float32, of all parameters; only rank 0 needs it
   */
  private void gather(Function<Piece, MemorySegment> part, MemorySegment all) {
    List<Work> transfers = new ArrayList<>();
    for (Piece piece : state.optimizer().ownPieces()) {
      if (ranks.rank() == 0) {
        FiledMemory.copy(part.apply(piece), piece.shard().of(all));
      } else if (piece.shard().size() > 0) {
        transfers.add(ranks.send(part.apply(piece), 0));
      }
    }
    for (int rank = 1; ranks.rank() == 0 && rank < ranks.size(); rank++) {
      for (Shard theirs : layout.allOf(rank)) {
        if (theirs.size() > 0) {
          transfers.add(ranks.recv(theirs.of(all), rank));
        }
      }
    }
    transfers.forEach(transfer -> transfer.await(timeout));
    FiledMemory.letGo(all);
    state.optimizer().ownPieces().forEach(piece -> FiledMemory.letGo(part.apply(piece)));
  }
}
