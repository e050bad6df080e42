package org.ftcluster.worker.training;

import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import org.ftcluster.worker.checkpoint.CheckpointException;
import org.ftcluster.worker.checkpoint.CheckpointStore;
import org.ftcluster.worker.checkpoint.CheckpointStore.Found;
import org.ftcluster.worker.checkpoint.CheckpointWriter;
import org.ftcluster.worker.checkpoint.CheckpointWriter.Patience;
import org.ftcluster.worker.checkpoint.Fence;
import org.ftcluster.worker.checkpoint.PeftAdapter;
import org.ftcluster.worker.checkpoint.Progress;
import org.ftcluster.worker.checkpoint.Snapshot;
import org.ftcluster.worker.checkpoint.TrainingState;
import org.ftcluster.worker.collective.CollectiveException;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.model.BaseValues;
import org.ftcluster.worker.model.FloatSource;
import org.ftcluster.worker.model.ParameterBuffer;
import org.ftcluster.worker.optimizer.ShardLayout;
import org.ftcluster.worker.parallel.MeshRanks;
import org.ftcluster.worker.training.RankTask.RankEvents;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Where a generation's state comes from, and where it goes when nobody is to go on from it: the
 * memories of ranks, or checkpoints.
 *
 * <p>All calls come from one thread, the rank's.
 */
final class StateKeeper implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(StateKeeper.class);
  private static final int SAVE_TRIES = 3;

  private final String id;
  private final Trainer.Job job;
  private final JobModel model;
  private final CheckpointStore checkpoints;
  private final CheckpointWriter writer;
  private final Deadlines deadlines;

  /**
   * @param id of the job
   */
  StateKeeper(String id, Trainer.Job job, JobModel model, Deadlines deadlines) {
    this.id = id;
    this.job = job;
    this.model = model;
    this.checkpoints = CheckpointStore.of(job.spec());
    this.writer = new CheckpointWriter(checkpoints);
    this.deadlines = deadlines;
  }

  CheckpointWriter writer() {
    return writer;
  }

  /**
   * Looks whether {@code checkpoint.path} is free for this job.
   *
   * @throws org.ftcluster.protocol.job.BadJobException when another job's checkpoints are there
   */
  void checkFolder() {
    checkpoints.requireOurs();
  }

  /** Returns when no checkpoint is being written. */
  void awaitCheckpoint(Runnable stopCheck) {
    writer.await(new Patience(deadlines.progress(), stopCheck));
  }

  /**
   * Makes the job's folder this generation's.
   *
   * @param stateSource negative where nobody holds a state
   */
  Fence claim(long generation, int stateSource) {
    if (stateSource < 0) {
      checkpoints.requireOurs(); // before anything is written
    }
    Fence fence = Fence.claim(job.spec().checkpoint().path(), id, generation);
    checkpoints.guardedBy(fence);
    return fence;
  }

  /**
   * Gives all ranks the state of one, or what is their share of it.
   *
   * @return the checkpoint that it was read from; null where it came from memory, and on all ranks
   *     but the first
   */
  @Nullable Path handOver(MeshRanks mesh, int stateSource, RankEvents events, Runnable stopCheck) {
    if (StateSharing.isAskedFor(job.spec())) {
      return handOverShares(mesh, stateSource, events, stopCheck);
    }
    Communicator ranks = mesh.all();
    Path checkpoint = null;
    if (stateSource < 0 && ranks.rank() == 0) {
      awaitCheckpoint(stopCheck);
      checkpoint = restore(events);
    }
    long identity = checkpoints.identityHash();
    new StateTransfer(ranks, job.state(), identity, deadlines.progress())
        .from(Math.max(0, stateSource));
    return checkpoint;
  }

  private @Nullable Path handOverShares(
      MeshRanks mesh, int stateSource, RankEvents events, Runnable stopCheck) {
    TrainingState state = job.state();
    Duration timeout = deadlines.progress();
    ShardLayout layout = new StateSharing(job, mesh, timeout).layout();
    ShardTransfer shards =
        new ShardTransfer(mesh.all(), state, layout, checkpoints.identityHash(), timeout);
    if (stateSource >= 0 && shards.isWhole(stateSource)) {
      shards.from(stateSource);
      return null;
    }
    if (mesh.all().rank() > 0) {
      shards.fromSaved(null);
      return null;
    }
    if (stateSource >= 0) {
      events.noted("A part of the optimizer's memory was lost with those that held it.");
    }
    awaitCheckpoint(stopCheck);
    Optional<Found> newest = checkpoints.openNewest(state.parameters().slices(), events::noted);
    if (newest.isPresent()) {
      try (Found checkpoint = newest.get()) {
        noteRestored(checkpoint.folder(), events);
        shards.fromSaved(checkpoint.state());
        return checkpoint.folder();
      }
    }
    try (Snapshot beginning = beginning(events)) {
      shards.fromSaved(beginning);
      return null;
    }
  }

  /** What training begins from, to be read in pieces where ranks share out values. */
  private Snapshot beginning(RankEvents events) {
    List<ParameterBuffer.Slice> slices = job.state().parameters().slices();
    FloatSource zeros = FloatSource.zeros();
    if (job.spec().sharesValues()) {
      BaseValues base = BaseValues.open(job.spec().model().path(), slices);
      return Snapshot.of(slices, List.of(base, zeros, zeros), Progress.NONE, base::close);
    }
    job.state().invalidate();
    initialize(events);
    FloatSource values = FloatSource.of(job.state().parameters().values());
    return Snapshot.of(slices, List.of(values, zeros, zeros), Progress.NONE);
  }

  /**
   * From the newest whole checkpoint, or from the beginning.
   *
   * @return the checkpoint; {@code null} where there was none
   */
  private @Nullable Path restore(RankEvents events) {
    TrainingState state = job.state();
    state.invalidate();
    Path checkpoint = checkpoints.readNewest(state, events::noted).orElse(null);
    if (checkpoint == null) {
      initialize(events);
      state.optimizer().clear();
      state.completed(Progress.NONE);
    } else {
      noteRestored(checkpoint, events);
    }
    return checkpoint;
  }

  private static void noteRestored(Path checkpoint, RankEvents events) {
    events.noted("Going on from %s.".formatted(checkpoint));
  }

  /** Values as they are before the first step. */
  private void initialize(RankEvents events) {
    Path initFrom = job.spec().adapter().initFrom();
    if (initFrom == null) {
      model.initialize(job.spec().training().seed());
    } else {
      PeftAdapter.readInto(initFrom, job.spec().adapter(), job.state().parameters());
      events.noted("Going on from the adapter %s.".formatted(initFrom));
    }
  }

  /** Saves a state that is here as a whole, unless that is done already. */
  void save(long generation) {
    long step = job.state().completedStep();
    for (int tries = 1; !checkpoints.holds(step); tries++) {
      try {
        checkpoints.guardedBy(Fence.claim(job.spec().checkpoint().path(), id, generation));
        writer.save(
            job.state(), Outputs.logsIn(job.spec()), new Patience(deadlines.progress(), () -> {}));
      } catch (CollectiveException e) {
        log.info("nothing to save: {}", e.getMessage());
        break;
      } catch (CheckpointException e) {
        // Another worker of the same generation may be about to save the same.
        if (tries == SAVE_TRIES) {
          throw e;
        }
      }
    }
  }

  /** Ends what is still being written. */
  @Override
  public void close() {
    writer.close();
  }
}
