package org.ftcluster.worker.training;

import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.message.WorkerCommand.PeerAddress;
import org.ftcluster.worker.checkpoint.Fence;
import org.ftcluster.worker.checkpoint.TrainingState;
import org.ftcluster.worker.collective.ListenAddress;
import org.ftcluster.worker.collective.TcpCommunicator;
import org.ftcluster.worker.data.EvalBatches;
import org.ftcluster.worker.data.GlobalBatches;
import org.ftcluster.worker.model.MemorySavings;
import org.ftcluster.worker.model.TrainableModel;
import org.ftcluster.worker.optimizer.OptimizerState;
import org.ftcluster.worker.parallel.Mesh;
import org.ftcluster.worker.parallel.MeshRanks;
import org.ftcluster.worker.parallel.RankLinks;
import org.ftcluster.worker.parallel.Replica;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Trains a model, or its part of one, together with the other ranks of a generation. */
final class TrainingTask implements RankTask {
  private static final Logger log = LoggerFactory.getLogger(TrainingTask.class);

  private final Trainer.Job job;
  private final JobModel model;
  private final StateKeeper keeper;
  private final ListenAddress listen;
  private final Deadlines deadlines;

  private final CurrentGeneration current = new CurrentGeneration();

  // What this process alone may know. Of the rank's thread.
  private long lastGeneration;
  private boolean safe = true;
  private MemoryUse memory = MemoryUse.NONE;

  /**
   * Takes over a whole model and data that are loaded.
   *
   * @param id of the job; no other ever had it
   * @param model closed with the task
   * @param listen where collectives listen
   */
  TrainingTask(
      String id,
      JobSpec spec,
      TrainableModel model,
      GlobalBatches batches,
      @Nullable EvalBatches eval,
      ListenAddress listen,
      Deadlines deadlines) {
    this(
        id,
        spec,
        new JobModel.Whole(model, deadlines, null),
        MemorySavings.NONE,
        batches,
        eval,
        listen,
        deadlines);
  }

  /**
   * Takes over data that are loaded.
   *
   * @param model as above; the caller's where this fails
   * @throws BadJobException when the disk has no room for what is to be there
   */
  TrainingTask(
      String id,
      JobSpec spec,
      JobModel model,
      MemorySavings savings,
      GlobalBatches batches,
      @Nullable EvalBatches eval,
      ListenAddress listen,
      Deadlines deadlines) {
    this.model = model;
    this.job =
        new Trainer.Job(
            spec,
            savings,
            new TrainingState(model.parameters(), optimizer(spec, model, savings)),
            batches,
            eval,
            new StepHistory(),
            Pulse.standard(deadlines),
            new Slowness(),
            System.nanoTime());
    this.keeper = new StateKeeper(id, job, model, deadlines);
    this.listen = listen;
    this.deadlines = deadlines;
  }

  private static OptimizerState optimizer(JobSpec spec, JobModel model, MemorySavings savings) {
    long size = model.parameters().size();
    return StateSharing.isAskedFor(spec)
        ? OptimizerState.none(size, savings.optimizer().folder())
        : OptimizerState.whole(size, savings.optimizer().folder());
  }

  @Override
  public long completedStep() {
    return job.state().completedStep();
  }

  @Override
  public long steps() {
    return job.batches().steps();
  }

  @Override
  public Optional<String> hang() {
    return job.pulse().hang();
  }

  @Override
  public double slowness() {
    return job.slowness().get();
  }

  @Override
  public void take(int rank, int worldSize) {
    current.end();
    Mesh mesh = Mesh.of(job.spec().parallel(), worldSize);
    model.take(mesh, mesh.place(rank));
  }

  @Override
  public PeerAddress prepare(int rank, int worldSize, long generation, byte[] secret) {
    current.end();
    current.checkStopped(generation);
    take(rank, worldSize);
    Mesh mesh = Mesh.of(job.spec().parallel(), worldSize);
    OpenGeneration open =
        current.begin(
            generation,
            () ->
                new OpenGeneration(rank, generation, secret, mesh, TcpCommunicator.listen(listen)));
    return new PeerAddress(listen.advertised(), open.port());
  }

  @Override
  public void run(List<PeerAddress> peers, int stateSource, RankEvents events) {
    OpenGeneration generation = current.get();
    lastGeneration = generation.number();
    safe = false;
    Trainer.End end;
    try {
      RankLinks links = connect(generation, peers);
      if (generation.rank() == 0) {
        SharingHosts.warning(generation.mesh(), peers).ifPresent(events::noted);
      }
      try {
        end = train(generation, links, stateSource, events);
      } catch (BadJobException e) {
        // A rank that finds the job at fault in what all ranks have computed leaves quietly: an
        // abort would overtake the bytes from which the others are about to find the same.
        throw e;
      } catch (RuntimeException | Error e) {
        giveUp(links, e);
        throw e;
      }
    } finally {
      current.end();
    }
    safe = end != Trainer.End.HANDED_OVER;
    if (end != Trainer.End.DONE) {
      events.handedOver(completedStep());
    }
  }

  private static void giveUp(RankLinks links, Throwable why) {
    links.abort("rank %d: %s".formatted(links.hosts().rank(), why.getMessage()));
  }

  private RankLinks connect(OpenGeneration generation, List<PeerAddress> peers) {
    current.checkStopped(generation.number());
    return generation.connect(
        peers, job.spec().resources().sockets(), model::link, deadlines.connect());
  }

  private Trainer.End train(
      OpenGeneration generation, RankLinks links, int stateSource, RankEvents events) {
    TrainingState state = job.state();
    Runnable stopCheck = () -> current.checkStopped(generation.number());
    Persistence begin = new Persistence(deadlines.storageAtBegin(), stopCheck, events::noted);
    Fence fence =
        generation.rank() == 0
            ? begin.write(() -> keeper.claim(generation.number(), stateSource))
            : Fence.NONE;
    MeshRanks mesh = MeshRanks.of(generation.mesh(), links);
    Path checkpoint = keeper.handOver(mesh, stateSource, events, stopCheck);
    Replica replica =
        model.connected(mesh, unit -> state.optimizer().ownPieces().get(unit).values());
    replica.parametersChanged();
    if (generation.rank() > 0) {
      events.started(state.completedStep());
      try (Trainer trainer = trainer(generation, replica, mesh, events, null, stopCheck)) {
        return run(trainer, links);
      }
    }
    Path read = checkpoint;
    Persistence end = new Persistence(deadlines.storage(), stopCheck, events::noted);
    try (Outputs outputs = begin.write(() -> Outputs.open(job, keeper.writer(), fence, read, end));
        Trainer trainer = trainer(generation, replica, mesh, events, outputs, stopCheck)) {
      events.started(state.completedStep());
      return run(trainer, links);
    }
  }

  private Trainer.End run(Trainer trainer, RankLinks links) {
    Trainer.End end;
    try {
      end = trainer.run();
    } catch (BadJobException e) {
      throw e;
    } catch (RuntimeException | Error e) {
      giveUp(links, e); // before memory is given back that NCCL may be at work on
      throw e;
    }
    memory =
        new MemoryUse(
            model.weightBytes(),
            MemoryUse.ofState(job.state()) + trainer.sumBytes(),
            model.activationBytes());
    log.info("{}", memory);
    return end;
  }

  /** What the last generation that came to its end has held. */
  MemoryUse memory() {
    return memory;
  }

  private Trainer trainer(
      OpenGeneration generation,
      Replica replica,
      MeshRanks ranks,
      RankEvents events,
      @Nullable Outputs outputs,
      Runnable stopCheck) {
    return new Trainer(
        job,
        new Trainer.Part(
            replica,
            ranks,
            generation.number(),
            events,
            stopCheck,
            () -> current.wish(generation.number()),
            deadlines.progress()),
        outputs);
  }

  /**
   * Looks whether {@code checkpoint.path} is free for this job.
   *
   * @throws BadJobException when another job's checkpoints are there
   */
  void checkFolder() {
    keeper.checkFolder();
  }

  /** Returns when no checkpoint is being written. */
  void awaitCheckpoint(Runnable stopCheck) {
    keeper.awaitCheckpoint(stopCheck);
  }

  @Override
  public void handOver(long generation) {
    current.handOver(generation);
  }

  @Override
  public void leave() {
    current.leave();
  }

  @Override
  public void keepSafe() {
    if (safe || completedStep() <= 0) {
      return;
    }
    if (!job.state().optimizer().isWhole()) {
      log.info("a share of the state can't be saved by itself");
      return;
    }
    keeper.save(lastGeneration);
    safe = true;
  }

  @Override
  public void stop(long generation, String reason) {
    current.stop(generation, reason);
  }

  @Override
  public void close() {
    current.end();
    keeper.close();
    job.state().close();
    model.close();
  }
}
