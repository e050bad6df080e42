package org.ftcluster.cli.progress;

import java.time.Clock;
import java.time.Duration;
import java.time.InstantSource;
import java.util.Optional;
import org.ftcluster.cli.client.CoordinatorClient;
import org.ftcluster.cli.console.Console;
import org.ftcluster.protocol.api.JobResult;
import org.ftcluster.protocol.api.JobSummary;
import org.ftcluster.protocol.api.JobUpdate;
import org.ftcluster.protocol.api.StepMetrics;
import org.jspecify.annotations.Nullable;

/** Shows a job's updates as they come, and keeps what tells how it ended. */
public final class JobFollower {
  private final Console console;
  private final ProgressDisplay display;
  private final InstantSource clock;
  private final Pace pace = new Pace();
  private JobSummary job = JobSummary.getDefaultInstance();
  private @Nullable JobResult result;

  JobFollower(Console console, ProgressDisplay display, InstantSource clock) {
    this.console = console;
    this.display = display;
    this.clock = clock;
  }

  /**
   * Follows {@code job} to its end.
   *
   * @param onLost as {@link CoordinatorClient#watch} takes it
   */
  public static JobOutcome follow(
      CoordinatorClient client, String job, Console console, Runnable onLost) {
    try (ProgressDisplay display = ProgressDisplay.on(console)) {
      JobFollower follower = new JobFollower(console, display, Clock.systemUTC());
      client.watch(job, follower::accept, onLost);
      return follower.outcome();
    }
  }

  /** One JSON line an update; {@code event} tells which fields follow. */
  sealed interface UpdateLine {
    record State(String event, String job, String state, long step, long steps, String reason)
        implements UpdateLine {}

    record Note(String event, String job, String state, String note) implements UpdateLine {}

    record Step(
        String event,
        String job,
        String state,
        long step,
        long steps,
        double epoch,
        double loss,
        double gradNorm,
        double learningRate,
        long targetTokens,
        long samples,
        double tokensPerSecond,
        int workers,
        long generation)
        implements UpdateLine {}
  }

  void accept(JobUpdate update) {
    boolean stateChanged = !update.getJob().getState().equals(job.getState());
    boolean lacksOther = !update.getJob().getShortage().equals(job.getShortage());
    job = update.getJob();
    if (stateChanged) {
      stateChanged();
    }
    if (lacksOther && !job.getShortage().isEmpty()) {
      noted("Job %s waits: %s".formatted(job.getJob(), job.getShortage()));
    }
    switch (update.getDetailCase()) {
      case STEP -> stepCompleted(update.getStep());
      case NOTE -> noted(update.getNote());
      case RESULT -> result = update.getResult();
      case DETAIL_NOT_SET -> {}
    }
  }

  JobOutcome outcome() {
    return new JobOutcome(job, result);
  }

  private void stateChanged() {
    console.json(
        new UpdateLine.State(
            "state", job.getJob(), job.getState(), job.getStep(), job.getSteps(), job.getReason()));
    String why = job.getReason().isEmpty() ? "" : ": " + job.getReason();
    display.note("Job %s is %s%s".formatted(job.getJob(), job.getState(), why));
  }

  private void noted(String note) {
    console.json(new UpdateLine.Note("note", job.getJob(), job.getState(), note));
    display.note(note);
  }

  private void stepCompleted(StepMetrics step) {
    console.json(
        new UpdateLine.Step(
            "step",
            job.getJob(),
            job.getState(),
            step.getStep(),
            job.getSteps(),
            step.getEpoch(),
            step.getLoss(),
            step.getGradNorm(),
            step.getLearningRate(),
            step.getTargetTokens(),
            step.getSamples(),
            step.getTokensPerSecond(),
            step.getWorkers(),
            step.getGeneration()));
    Optional<Duration> left =
        pace.left(step.getGeneration(), step.getStep(), job.getSteps(), clock.instant());
    display.show(
        new Progress(
            step.getStep(),
            job.getSteps(),
            step.getLoss(),
            step.getTokensPerSecond(),
            left,
            step.getWorkers()));
  }
}
