package org.ftcluster.worker.training;

import java.time.Duration;
import java.util.Locale;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.function.Supplier;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.message.RankReport.StepMetrics;
import org.ftcluster.protocol.message.RankReport.TrainingResult;
import org.ftcluster.worker.checkpoint.CheckpointWriter.Patience;
import org.ftcluster.worker.checkpoint.Progress;
import org.ftcluster.worker.checkpoint.Snapshot;
import org.ftcluster.worker.checkpoint.TrainingState;
import org.ftcluster.worker.data.EvalBatches;
import org.ftcluster.worker.data.GlobalBatch;
import org.ftcluster.worker.data.GlobalBatches;
import org.ftcluster.worker.model.MemorySavings;
import org.ftcluster.worker.optimizer.AdamW;
import org.ftcluster.worker.optimizer.GradientClip;
import org.ftcluster.worker.optimizer.GradientSum;
import org.ftcluster.worker.optimizer.GradientSum.Flag;
import org.ftcluster.worker.optimizer.LearningRate;
import org.ftcluster.worker.optimizer.NonFiniteGradientException;
import org.ftcluster.worker.optimizer.ParameterUpdate;
import org.ftcluster.worker.optimizer.SumPrecision;
import org.ftcluster.worker.parallel.Deal;
import org.ftcluster.worker.parallel.Mesh;
import org.ftcluster.worker.parallel.MeshRanks;
import org.ftcluster.worker.parallel.Replica;
import org.ftcluster.worker.tensor.SplitMix64;
import org.ftcluster.worker.training.RankTask.RankEvents;
import org.jspecify.annotations.Nullable;

/**
 * The training loop of one rank in one generation.
 *
 * <p>A step is all or nothing: until the gradients of all ranks are summed nothing of the state is
 * touched, and from then on nothing waits for anyone; or, where ranks hold shards, what was touched
 * elsewhere can be made up for. So whatever ends a generation, the state is that of a completed
 * step.
 */
final class Trainer implements AutoCloseable {
  private final Job job;
  private final Replica replica;
  private final MeshRanks ranks;
  private final long generation;
  private final RankEvents events;
  private final @Nullable Outputs outputs;
  private final Runnable stopCheck;
  private final Supplier<Wish> wish;
  private final Duration timeout;
  private final LearningRate schedule;
  private final StateSharing sharing;
  private final ParameterUpdate update;
  private final GradientSum sum;
  private final Balance balance;
  private boolean leaving;
  private boolean precisionNoted;

  /** What a rank wants after the step at hand. */
  enum Wish {
    GO_ON,
    HAND_OVER,
    /** To hand over, and to be no part of what follows. */
    LEAVE
  }

  /** How a generation came to an end that isn't a failure. */
  enum End {
    DONE,
    /** Others are to go on together with this rank, or from its state. */
    HANDED_OVER,
    /** Others have the state, or a checkpoint does: this rank isn't needed any more. */
    LEFT
  }

  /**
   * What a job is made of, and what it leaves in memory between generations, besides the model.
   *
   * @param eval {@code null} where the job isn't evaluated
   */
  record Job(
      JobSpec spec,
      MemorySavings savings,
      TrainingState state,
      GlobalBatches batches,
      @Nullable EvalBatches eval,
      StepHistory history,
      Pulse pulse,
      Slowness slowness,
      long startNs) {}

  /**
   * A trainer for one generation.
   *
   * @param replica of the model that this rank has a part in, connected to the others
   * @param outputs rank 0's; {@code null} on all others
   * @param stopCheck called between micro-batches; throws when the generation was stopped
   * @param wish what is to follow the step at hand, as far as this rank knows
   * @param timeout for a collective
   */
  Trainer(
      Job job,
      Replica replica,
      MeshRanks ranks,
      long generation,
      RankEvents events,
      @Nullable Outputs outputs,
      Runnable stopCheck,
      Supplier<Wish> wish,
      Duration timeout) {
    this.job = job;
    this.replica = replica;
    this.ranks = ranks;
    this.generation = generation;
    this.events = events;
    this.outputs = outputs;
    this.stopCheck = stopCheck;
    this.wish = wish;
    this.timeout = timeout;
    this.schedule = LearningRate.of(job.spec().training(), job.batches().steps());
    this.sharing = new StateSharing(job, ranks, timeout);
    this.update = sharing.update();
    this.sum = sharing.newSum(replica.trained());
    this.balance = new Balance(job.spec(), ranks, sum, events);
  }

  /**
   * From the state's step to the end of the job, or until it is to be handed over.
   *
   * @return how it came to an end
   */
  End run() {
    TrainingState state = job.state();
    if (state.completedStep() == 0 && Double.isNaN(state.progress().evalLossBefore())) {
      state.completed(state.progress().withEvalLossBefore(evaluate("before training")));
    }
    long every = job.spec().checkpoint().everySteps();
    while (state.completedStep() < job.batches().steps()) {
      StepMetrics metrics = step(state.completedStep());
      if (outputs != null) {
        outputs.stepCompleted(metrics);
        events.stepCompleted(metrics);
        notePrecision(metrics);
      }
      if (every > 0 && metrics.step() % every == 0 && metrics.step() < job.batches().steps()) {
        beginCheckpoint();
      }
      if (sum.raised(Flag.HAND_OVER) > 0) {
        return handOver();
      }
    }
    lastCheckpoint();
    double lossAfter = evaluate("after training");
    complete(lossAfter);
    return End.DONE;
  }

  /**
   * One optimizer step.
   *
   * @param step counted from 0
   */
  private StepMetrics step(long step) {
    long startNs = System.nanoTime();
    JobSpec.Training training = job.spec().training();
    Mesh mesh = ranks.mesh();
    GlobalBatch batch = job.batches().batch(step);
    double lossScale = 1.0 / batch.targetTokens();
    // Each part of a replica adds its share of every gradient.
    int parts = mesh.pipeline() * mesh.tensor() * job.spec().parallel().interleave();
    sum.start(batch.microBatches().size() * parts);
    Deal deal = balance.deal(batch);
    long workNs = System.nanoTime();
    try {
      if (mesh.size() > 1) {
        sum.nothingFrom(ranks.background(), lastTrained());
      }
      replica.train(
          deal.share(ranks.place().data(), batch.microBatches()),
          new Replica.Step(
              deal.most(),
              lossScale,
              micro -> SplitMix64.seed(training.seed(), step, micro.index()),
              () -> {
                stopCheck.run();
                beginWork(step);
              }),
          new GradientIntake(sum, ranks, job.state().parameters(), job.pulse(), lossScale));
      sum.awaitAdded();
    } catch (RuntimeException | Error e) {
      // Sums may be under way, and nobody is to wait for the rest of them.
      ranks.all().abort("rank %d: %s".formatted(ranks.all().rank(), e.getMessage()));
      throw e;
    } finally {
      job.pulse().forget();
    }
    balance.worked(System.nanoTime() - workNs);
    raise(wish.get());
    double loss = reduce(step);
    job.slowness().set(balance.learn());
    double norm = update.gradientNorm();
    double learningRate = schedule.at(step);
    update.apply(
        new AdamW.At(step + 1, learningRate, GradientClip.scale(norm, training.maxGradNorm())));

    // From here to the end nothing waits, and nothing fails.
    replica.parametersChanged();
    double seconds = (System.nanoTime() - startNs) / 1e9;
    StepMetrics metrics =
        new StepMetrics(
            step + 1,
            batch.epoch(),
            loss,
            norm,
            learningRate,
            batch.targetTokens(),
            batch.sampleCount(),
            batch.tokens() / seconds,
            mesh.size(),
            generation);
    job.state().completed(job.state().progress().plus(metrics, batch.tokens(), seconds));
    job.history().add(metrics);
    return metrics;
  }

  /** Behind the last parameter that this rank leaves gradients of. */
  private long lastTrained() {
    return replica.trained().stream()
        .mapToLong(slice -> slice.offset() + slice.size())
        .max()
        .orElse(0);
  }

  /** Alone with its work, a rank has to get on with it; parts of a model wait for each other. */
  private void beginWork(long step) {
    JobSpec.Parallel parallel = job.spec().parallel();
    if (parallel.replicaRanks() == 1 && parallel.sharding() != JobSpec.Sharding.ZERO3) {
      job.pulse().begin("a micro-batch of step %d".formatted(step + 1));
    }
  }

  private void notePrecision(StepMetrics metrics) {
    if (!precisionNoted) {
      Optional<String> lost =
          SumPrecision.loss(
              job.spec().training().reduction(),
              metrics.gradNorm(),
              job.state().parameters().size());
      lost.ifPresent(events::noted);
      precisionNoted = lost.isPresent();
    }
  }

  private void raise(Wish wish) {
    switch (wish) {
      case GO_ON -> {}
      case HAND_OVER -> sum.raise(Flag.HAND_OVER);
      case LEAVE -> {
        sum.raise(Flag.HAND_OVER);
        sum.raise(Flag.LEAVE);
        leaving = true;
      }
    }
  }

  private void beginCheckpoint() {
    readState(
        to -> {
          to.awaitCheckpoint(patience());
          to.beginCheckpoint(sharing.copy(), events::noted, patience());
        });
  }

  private void lastCheckpoint() {
    readState(
        to -> {
          try (Snapshot all = sharing.view()) {
            to.lastCheckpoint(all, events::noted, patience());
          }
        });
  }

  /** Rank 0 reads the state, and writes it down, while it stays as it is on all that share it. */
  private void readState(Consumer<Outputs> reader) {
    if (outputs != null) {
      bringToHost();
      reader.accept(outputs);
      sharing.giveBack();
    } else {
      sharing.lend();
    }
  }

  /** Where all ranks leave, their memories do, too; and of shards any that leaves may be missed. */
  private End handOver() {
    if (sharing.isShared() || sum.raised(Flag.LEAVE) == ranks.mesh().size()) {
      lastCheckpoint();
    }
    return leaving ? End.LEFT : End.HANDED_OVER;
  }

  private double reduce(long step) {
    try {
      return sum.reduce(ranks.background(), job.state().parameters().gradients(), timeout);
    } catch (NonFiniteGradientException e) {
      throw new BadJobException(
          "Training diverged at step %d: %s; a lower training.learning_rate, a longer warm-up or a lower training.max_grad_norm may help."
              .formatted(step + 1, e.getMessage()),
          e);
    }
  }

  /** NaN where the job isn't evaluated. */
  private double evaluate(String when) {
    EvalBatches batches = job.eval();
    if (batches == null) {
      return Double.NaN;
    }
    double loss;
    try {
      loss = Evaluation.loss(replica, batches, ranks, stopCheck, timeout);
    } catch (NonFiniteGradientException e) {
      throw new BadJobException("The evaluation loss %s is not a number.".formatted(when), e);
    }
    if (outputs != null) {
      events.noted(
          String.format(
              Locale.ROOT,
              "Evaluation loss %s: %.4f over %d target tokens.",
              when,
              loss,
              batches.targetTokens()));
    }
    return loss;
  }

  /** Bytes that sums of gradients take. */
  long sumBytes() {
    return sum.bytes();
  }

  /** From then on the host has the state, or nobody has. */
  private void bringToHost() {
    try {
      update.bringToHost();
    } catch (RuntimeException e) {
      job.state().invalidate();
      throw e;
    }
  }

  @Override
  public void close() {
    try (sum;
        update) {
      bringToHost();
    }
  }

  private Patience patience() {
    return new Patience(timeout, stopCheck);
  }

  private void complete(double lossAfter) {
    if (outputs == null) {
      sharing.lend();
      return;
    }
    TrainingState state = job.state();
    String sha256 = outputs.writeResult(state.parameters(), sharing.values(), events::noted);
    sharing.giveBack();
    Progress progress = state.progress();
    events.completed(
        new TrainingResult(
            progress.step(),
            progress.evalLossBefore(),
            lossAfter,
            outputs.resultFolder().toString(),
            sha256,
            progress.tokensPerSecond(),
            (System.nanoTime() - job.startNs()) / 1e9,
            progress.samples()));
  }
}
