package org.ftcluster.worker.training;

import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import org.ftcluster.worker.checkpoint.CheckpointException;
import org.ftcluster.worker.checkpoint.CheckpointStore;
import org.ftcluster.worker.checkpoint.CheckpointWriter;
import org.ftcluster.worker.checkpoint.CheckpointWriter.Patience;
import org.ftcluster.worker.checkpoint.Fence;
import org.ftcluster.worker.checkpoint.PeftAdapter;
import org.ftcluster.worker.checkpoint.Progress;
import org.ftcluster.worker.checkpoint.TrainingState;
import org.ftcluster.worker.collective.CollectiveException;
import org.ftcluster.worker.collective.Communicator;
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
    Communicator ranks = mesh.all();
    long identity = checkpoints.identityHash();
    Duration timeout = deadlines.progress();
    boolean inShards = StateSharing.isAskedFor(job.spec());
    ShardLayout layout = new StateSharing(job.spec(), job.state(), mesh, timeout).layout();
    ShardTransfer shards = new ShardTransfer(ranks, job.state(), layout, identity, timeout);
    boolean inMemory = stateSource >= 0 && (!inShards || shards.isWhole(stateSource));
    Path checkpoint = null;
    if (!inMemory && ranks.rank() == 0) {
      if (stateSource >= 0) {
        events.noted("A part of the optimizer's memory was lost with those that held it.");
      }
      awaitCheckpoint(stopCheck);
      checkpoint = restore(events);
    }
    int source = inMemory ? stateSource : 0;
    if (inShards) {
      shards.from(source);
    } else {
      new StateTransfer(ranks, job.state(), identity, timeout).from(source);
    }
    return checkpoint;
  }

  /**
   * From the newest whole checkpoint, or from the beginning.
   *
   * @return the checkpoint; {@code null} where there was none
   */
  private @Nullable Path restore(RankEvents events) {
    TrainingState state = job.state();
    state.invalidate();
    state.optimizer().makeWhole();
    Optional<Path> checkpoint = checkpoints.readNewest(state, events::noted);
    if (checkpoint.isPresent()) {
      events.noted("Going on from %s.".formatted(checkpoint.get()));
      return checkpoint.get();
    }
    Path initFrom = job.spec().adapter().initFrom();
    if (initFrom == null) {
      model.initialize(job.spec().training().seed());
    } else {
      PeftAdapter.readInto(initFrom, job.spec().adapter(), state.parameters());
      events.noted("Going on from the adapter %s.".formatted(initFrom));
    }
    state.optimizer().clear();
    state.completed(Progress.NONE);
    return null;
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
