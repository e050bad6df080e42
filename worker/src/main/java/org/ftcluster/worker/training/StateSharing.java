package org.ftcluster.worker.training;

import java.time.Duration;
import java.util.List;
import java.util.Objects;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.job.JobSpec.Sharding;
import org.ftcluster.worker.checkpoint.Progress;
import org.ftcluster.worker.checkpoint.Snapshot;
import org.ftcluster.worker.checkpoint.StateContent;
import org.ftcluster.worker.checkpoint.TrainingState;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.model.DeviceParameters;
import org.ftcluster.worker.model.FloatSource;
import org.ftcluster.worker.model.ModelConfig;
import org.ftcluster.worker.model.ModelConfigReader;
import org.ftcluster.worker.model.ParameterBuffer;
import org.ftcluster.worker.model.ParameterUnit;
import org.ftcluster.worker.optimizer.AdamW;
import org.ftcluster.worker.optimizer.DeviceGradientSum;
import org.ftcluster.worker.optimizer.FullyShardedUpdate;
import org.ftcluster.worker.optimizer.GradientSum;
import org.ftcluster.worker.optimizer.ParameterUpdate;
import org.ftcluster.worker.optimizer.Region;
import org.ftcluster.worker.optimizer.Shard;
import org.ftcluster.worker.optimizer.ShardLayout;
import org.ftcluster.worker.optimizer.ShardedGradientSum;
import org.ftcluster.worker.optimizer.ShardedUpdate;
import org.ftcluster.worker.optimizer.Sharers;
import org.ftcluster.worker.optimizer.UnitGradientSum;
import org.ftcluster.worker.parallel.MeshParts;
import org.ftcluster.worker.parallel.MeshRanks;
import org.ftcluster.worker.parallel.UnitStages;
import org.jspecify.annotations.Nullable;

/** How the ranks of a generation hold a job's state: each all of it, or in shards. */
final class StateSharing {
  private final JobSpec spec;
  private final TrainingState state;
  private final boolean optimizesOnDevice;
  private final MeshRanks mesh;

  /** Those that hold all of it between them. */
  private final Communicator ranks;

  private final ShardLayout layout;
  private final LentState lent;
  private final Duration timeout;

  StateSharing(Trainer.Job job, MeshRanks mesh, Duration timeout) {
    this.spec = job.spec();
    this.state = job.state();
    this.optimizesOnDevice = job.savings().optimizesOnDevice();
    this.mesh = mesh;
    this.ranks = mesh.group();
    this.timeout = timeout;
    // Other groups are mirrors enough.
    boolean mirrored = spec.parallel().mirror() && mesh.mesh().groups() == 1;
    this.layout =
        spec.sharesValues()
            ? new ShardLayout(units(state), stages(), ranks.rank(), ranks.size(), mirrored)
            : new ShardLayout(state.parameters().size(), ranks.rank(), ranks.size(), mirrored);
    this.lent = new LentState(ranks, layout, state.optimizer(), FloatSource.PIECE, timeout);
  }

  private static List<Shard> units(TrainingState state) {
    return ParameterUnit.of(state.parameters()).stream()
        .map(unit -> new Shard(unit.from(), unit.to()))
        .toList();
  }

  private UnitStages stages() {
    ModelConfig config = ModelConfigReader.read(spec.model().path());
    return MeshParts.unitStages(config, spec, state.parameters());
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
      return new UnitGradientSum(
          reduction, layout, state.optimizer(), sharers(), timeout, mesh.device());
    }
    if (sharesGradients()) {
      return new ShardedGradientSum(
          reduction, layout, Region.of(trained), sharers(), timeout, summing());
    }
    int places = mesh.all().size();
    DeviceParameters device = summing();
    if (device == null) {
      return GradientSum.of(reduction, layout.size(), places);
    }
    // The backward of a later stage has an end that the stage before waits for.
    boolean early = mesh.place().stage() == 0;
    boolean toHost = updating() == null;
    return new DeviceGradientSum(reduction, device, places, mesh.deviceBackground(), early, toHost);
  }

  /** Where gradients of what this rank has all values of are summed, if that is a GPU. */
  private @Nullable DeviceParameters summing() {
    if (mesh.all().size() == 1) {
      return state.parameters().device();
    }
    return mesh.device() == null ? null : Objects.requireNonNull(state.parameters().device());
  }

  /** Where the whole optimizer works, if that is a GPU. */
  private @Nullable DeviceParameters updating() {
    return isShared() || !optimizesOnDevice ? null : summing();
  }

  private Sharers sharers() {
    return new Sharers(mesh.all(), mesh.group(), mesh.summing(), mesh.twins());
  }

  /** From summed gradients to parameters; to be closed. */
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
    if (isShared()) {
      return new ShardedUpdate(
          adamW, state.parameters(), state.optimizer(), sharers(), sharesGradients(), timeout);
    }
    return ParameterUpdate.whole(adamW, state.parameters(), updating(), state.optimizer());
  }

  /** All of the state as rank 0 saves it while training goes on; others {@link #lend} it. */
  Snapshot copy() {
    return isShared() ? lentState(state.progress()) : Snapshot.copyOf(state);
  }

  /**
   * The same while nobody trains.
   *
   * @param progress that it has come to
   */
  Snapshot view(Progress progress) {
    return isShared() ? lentState(progress) : Snapshot.viewOf(state, progress);
  }

  private Snapshot lentState(Progress progress) {
    return Snapshot.of(
        state.parameters().slices(),
        List.of(
            values(),
            lent.source(StateContent.FIRST_MOMENT),
            lent.source(StateContent.SECOND_MOMENT)),
        progress);
  }

  /** All values as rank 0 reads them, of which others lend it their part. */
  FloatSource values() {
    return layout.sharesValues()
        ? lent.source(StateContent.VALUE)
        : FloatSource.of(state.parameters().values());
  }

  /** Rank 0 has read what it wants of the state, which may change now. */
  void giveBack() {
    if (isShared()) {
      lent.giveBack();
    }
  }

  /** On ranks other than 0: returns when that has read what it wants of the state. */
  void lend() {
    if (isShared() && mesh.all().rank() < ranks.size()) {
      lent.lend();
    }
  }
}
