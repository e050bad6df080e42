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
import org.ftcluster.worker.data.GlobalBatches;
import org.ftcluster.worker.model.MemorySavings;
import org.ftcluster.worker.optimizer.GradientSum.Flag;
import org.ftcluster.worker.optimizer.NonFiniteGradientException;
import org.ftcluster.worker.optimizer.SumPrecision;
import org.ftcluster.worker.parallel.MeshRanks;
import org.ftcluster.worker.parallel.Replica;
import org.ftcluster.worker.training.RankTask.RankEvents;
import org.jspecify.annotations.Nullable;

/**
 * The training loop of one rank in one generation: evaluation, one {@link TrainingStep} after the
 * other, checkpoints, and how it ends. Whatever ends it, the state is that of a completed step.
 */
final class Trainer implements AutoCloseable {
  private final Job job;
  private final Part part;
  private final RankEvents events;
  private final @Nullable Outputs outputs;
  private final StateSharing sharing;
  private final TrainingStep step;
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
   * A rank's part in one generation.
   *
   * @param replica of the model that this rank has a part in, connected to the others
   * @param stopCheck called between micro-batches; throws when the generation was stopped
   * @param wish what is to follow the step at hand, as far as this rank knows
   * @param timeout for a collective
   */
  record Part(
      Replica replica,
      MeshRanks ranks,
      long generation,
      RankEvents events,
      Runnable stopCheck,
      Supplier<Wish> wish,
      Duration timeout) {}

  /**
   * A trainer for one generation.
   *
   * @param outputs rank 0's; {@code null} on all others
   */
  Trainer(Job job, Part part, @Nullable Outputs outputs) {
    this.job = job;
    this.part = part;
    this.events = part.events();
    this.outputs = outputs;
    this.sharing = new StateSharing(job, part.ranks(), part.timeout());
    this.step = new TrainingStep(job, part, sharing);
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
      StepMetrics metrics = step.run(state.completedStep());
      if (outputs != null) {
        outputs.stepCompleted(metrics);
        events.stepCompleted(metrics);
        notePrecision(metrics);
      }
      if (every > 0 && metrics.step() % every == 0 && metrics.step() < job.batches().steps()) {
        beginCheckpoint();
      }
      if (step.raised(Flag.HAND_OVER) > 0) {
        return handOver();
      }
    }
    lastCheckpoint();
    double lossAfter = evaluate("after training");
    complete(lossAfter);
    return End.DONE;
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
      step.bringToHost();
      reader.accept(outputs);
      sharing.giveBack();
    } else {
      sharing.lend();
    }
  }

  /** Where all ranks leave, their memories do, too; and of shards any that leaves may be missed. */
  private End handOver() {
    if (sharing.isShared() || step.raised(Flag.LEAVE) == part.ranks().mesh().size()) {
      lastCheckpoint();
    }
    return step.leaves() ? End.LEFT : End.HANDED_OVER;
  }

  /** NaN where the job isn't evaluated. */
  private double evaluate(String when) {
    EvalBatches batches = job.eval();
    if (batches == null) {
      return Double.NaN;
    }
    double loss;
    try {
      loss =
          Evaluation.loss(part.replica(), batches, part.ranks(), part.stopCheck(), part.timeout());
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
    return step.sumBytes();
  }

  @Override
  public void close() {
    step.close();
  }

  private Patience patience() {
    return new Patience(part.timeout(), part.stopCheck());
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
