package org.ftcluster.worker.training;

import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import java.util.function.Supplier;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.message.RankReport.StepMetrics;
import org.ftcluster.protocol.message.RankReport.TrainingResult;
import org.ftcluster.worker.checkpoint.CheckpointStore.Found;
import org.ftcluster.worker.checkpoint.CheckpointWriter.Patience;
import org.ftcluster.worker.checkpoint.Progress;
import org.ftcluster.worker.checkpoint.Progress.Evaluated;
import org.ftcluster.worker.checkpoint.Snapshot;
import org.ftcluster.worker.checkpoint.StateContent;
import org.ftcluster.worker.checkpoint.TrainingState;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.data.EvalBatches;
import org.ftcluster.worker.data.GlobalBatches;
import org.ftcluster.worker.model.FloatSource;
import org.ftcluster.worker.model.MemorySavings;
import org.ftcluster.worker.model.ParameterBuffer.Slice;
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
  /** Stages of a pipeline go on to other batches meanwhile, and would wait for each question. */
  private static final int ROUNDS_A_STAGE = 4;

  private final Job job;
  private final Part part;
  private final RankEvents events;
  private final @Nullable Outputs outputs;
  private final StateSharing sharing;
  private final TrainingStep step;
  private final EvaluationPlan plan;
  private final Wishes wishes;
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
    this.wishes = new Wishes(part.wish());
    this.step = new TrainingStep(job, part, sharing, wishes);
    this.plan = new EvaluationPlan(job.spec().evaluation(), job.batches().steps());
  }

  /**
   * From the state's step to the end of the job, or until it is to be handed over.
   *
   * @return how it came to an end
   */
  End run() {
    TrainingState state = job.state();
    if (state.completedStep() == 0 && Double.isNaN(state.progress().evalLossBefore())) {
      double loss = Evaluation.lossOf(evaluateWhole("before training"));
      state.completed(state.progress().withEvalLossBefore(loss));
    }
    if (plan.isDue(state.progress())) {
      endStep(); // those who left the state to this generation haven't got to it
    }
    while (!plan.isOver(state.progress()) && !wishes.areToHandOver()) {
      StepMetrics metrics = step.run(state.completedStep());
      if (outputs != null) {
        outputs.stepCompleted(metrics);
        events.stepCompleted(metrics);
        notePrecision(metrics);
      }
      endStep();
    }
    if (wishes.areToHandOver()) {
      return handOver();
    }
    noteEarlyEnd();
    lastCheckpoint();
    complete(lossAfter());
    return End.DONE;
  }

  /** What is due after a step; where its evaluation is left to others, so is its checkpoint. */
  private void endStep() {
    if (plan.isDue(job.state().progress()) && !wishes.areToHandOver()) {
      evaluateStep();
    }
    Progress progress = job.state().progress();
    if (isCheckpointDue(progress) && !plan.isDue(progress)) {
      beginCheckpoint();
    }
  }

  private boolean isCheckpointDue(Progress progress) {
    long every = job.spec().checkpoint().everySteps();
    return every > 0
        && progress.step() % every == 0
        && progress.step() < job.batches().steps()
        && progress.bestKept().stream().noneMatch(best -> best.step() == progress.step());
  }

  /** Unless somebody won't stay for it: then whoever goes on takes it. */
  private void evaluateStep() {
    Progress progress = job.state().progress();
    int stages = part.ranks().mesh().pipeline();
    int between = stages == 1 ? 1 : ROUNDS_A_STAGE * stages;
    int[] rounds = {0};
    Optional<Evaluation> evaluation =
        evaluate(
            "after step %d".formatted(progress.step()),
            () -> {
              part.stopCheck().run();
              if (rounds[0]++ % between == 0) {
                wishes.ask(part.ranks().all(), part.timeout());
              }
              return !wishes.areToHandOver();
            });
    evaluation.ifPresent(done -> evaluated(progress, done));
  }

  private void evaluated(Progress progress, Evaluation evaluation) {
    Progress known = evaluation.addedTo(progress, false);
    if (outputs != null) {
      outputs.evaluated(known.evaluations().getLast());
    }
    boolean isLast = progress.step() == job.batches().steps(); // which is saved anyway
    job.state()
        .completed(
            plan.isToKeep(evaluation.loss(), progress) && !isLast
                ? keep(progress, evaluation)
                : known);
  }

  /**
   * Has a checkpoint of what is the best so far.
   *
   * @return what all ranks know once it is on a disk, or can't be; until then none knows the loss
   */
  private Progress keep(Progress progress, Evaluation evaluation) {
    Communicator ranks = part.ranks().all();
    if (outputs != null) {
      outputs.awaitCheckpoint(patience()); // the one before, which may take its time
    }
    ranks.barrier().await(part.timeout());
    Progress kept = evaluation.addedTo(progress, true);
    readState(to -> to.beginCheckpoint(sharing.view(kept), events::noted, patience()));
    Progress known = null;
    if (outputs != null) {
      outputs.awaitCheckpoint(patience());
      known = outputs.holds(progress.step()) ? kept : evaluation.addedTo(progress, false);
    }
    return StateTransfer.broadcast(ranks, known, 0, part.timeout());
  }

  private void noteEarlyEnd() {
    Progress progress = job.state().progress();
    if (outputs != null && progress.step() < job.batches().steps()) {
      events.noted(
          "Training ends after step %d: %d evaluations in a row haven't lowered the loss."
              .formatted(progress.step(), job.spec().evaluation().patience()));
    }
  }

  /** NaN where the job isn't evaluated. */
  private double lossAfter() {
    Progress progress = job.state().progress();
    if (progress.evalLoss().isPresent()) {
      return progress.evalLoss().getAsDouble();
    }
    Optional<Evaluation> evaluation = evaluateWhole("after training");
    if (plan.isAskedFor()) {
      evaluation.ifPresent(done -> evaluated(progress, done));
    }
    return Evaluation.lossOf(evaluation);
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
          try (Snapshot all = sharing.view(job.state().progress())) {
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
    if (sharing.isShared() || wishes.leavers() == part.ranks().mesh().size()) {
      lastCheckpoint();
    }
    return wishes.leaves() ? End.LEFT : End.HANDED_OVER;
  }

  private Optional<Evaluation> evaluateWhole(String when) {
    return evaluate(
        when,
        () -> {
          part.stopCheck().run();
          return true;
        });
  }

  /** Nothing where the job isn't evaluated, or the evaluation doesn't go on. */
  private Optional<Evaluation> evaluate(String when, BooleanSupplier goesOn) {
    EvalBatches batches = job.eval();
    if (batches == null) {
      return Optional.empty();
    }
    Optional<Evaluation> evaluation;
    try {
      evaluation =
          Evaluation.run(
              part.replica(),
              batches,
              job.spec().preference(),
              part.ranks(),
              goesOn,
              part.timeout());
    } catch (NonFiniteGradientException e) {
      throw new BadJobException("The evaluation loss %s is not a number.".formatted(when), e);
    }
    if (outputs != null) {
      evaluation.ifPresent(
          done -> events.noted("Evaluation loss %s: %s.".formatted(when, done.describe())));
    }
    return evaluation;
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
    Progress progress = job.state().progress();
    Result result =
        plan.result(progress)
            .flatMap(best -> writeKept(outputs, best))
            .orElseGet(() -> writeLast(outputs, lossAfter));
    events.completed(
        new TrainingResult(
            progress.step(),
            result.step(),
            progress.evalLossBefore(),
            result.evalLoss(),
            outputs.resultFolder().toString(),
            result.sha256(),
            progress.tokensPerSecond(),
            (System.nanoTime() - job.startNs()) / 1e9,
            progress.samples()));
  }

  /** What was written, of which step. */
  private record Result(long step, double evalLoss, String sha256) {}

  /** Nothing where its checkpoint is gone. */
  private Optional<Result> writeKept(Outputs to, Evaluated best) {
    String which =
        String.format(
            Locale.ROOT,
            "step %d, after which the evaluation loss was %.4f",
            best.step(),
            best.evalLoss());
    Optional<Found> found = to.open(best.step(), slices(), events::noted);
    if (found.isEmpty()) {
      events.noted("The checkpoint of %s, is gone; the result is of the last.".formatted(which));
      return Optional.empty();
    }
    try (Found checkpoint = found.get()) {
      sharing.giveBack(); // nobody needs to wait for what comes from a file
      events.noted("The result is of %s.".formatted(which));
      FloatSource values = checkpoint.state().content(StateContent.VALUE);
      String sha256 = to.writeResult(slices(), values, events::noted);
      return Optional.of(new Result(best.step(), best.evalLoss(), sha256));
    }
  }

  private Result writeLast(Outputs to, double loss) {
    String sha256 = to.writeResult(slices(), sharing.values(), events::noted);
    sharing.giveBack();
    return new Result(job.state().completedStep(), loss, sha256);
  }

  private List<Slice> slices() {
    return job.state().parameters().slices();
  }
}
