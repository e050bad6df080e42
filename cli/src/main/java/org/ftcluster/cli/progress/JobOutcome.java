package org.ftcluster.cli.progress;

import com.fasterxml.jackson.annotation.JsonInclude;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Locale;
import org.ftcluster.cli.console.Console;
import org.ftcluster.cli.console.ExitCode;
import org.ftcluster.protocol.api.JobResult;
import org.ftcluster.protocol.api.JobSummary;
import org.jspecify.annotations.Nullable;

/**
 * How a job ended.
 *
 * @param result null unless it succeeded
 */
public record JobOutcome(JobSummary job, @Nullable JobResult result) {
  private static final String SUCCEEDED = "SUCCEEDED";

  /**
   * The last line of {@code train --json}.
   *
   * @param evalLossBefore NaN (null in JSON) without evaluation data, or where the job did not get
   *     that far
   * @param resultStep the step after which the result was as it is: the last one, or the best; 0
   *     where there is none
   * @param adapter the folder of the adapter, or of the model where all of it was trained; null
   *     where there is none
   */
  public record Line(
      String job,
      String state,
      long steps,
      long resultStep,
      double evalLossBefore,
      double evalLossAfter,
      @Nullable String adapter,
      @Nullable String adapterSha256,
      double tokensPerSecond,
      double wallSeconds,
      long generations,
      long samples,
      @JsonInclude(JsonInclude.Include.NON_EMPTY) String reason) {}

  public boolean succeeded() {
    return job.getState().equals(SUCCEEDED);
  }

  public ExitCode exitCode() {
    return succeeded() ? ExitCode.DONE : ExitCode.FAILED;
  }

  /** The outcome for programs. */
  public Line line() {
    return result == null
        ? new Line(
            job.getJob(),
            job.getState(),
            job.getStep(),
            0,
            Double.NaN,
            Double.NaN,
            null,
            null,
            Double.NaN,
            Double.NaN,
            job.getGeneration(),
            0,
            job.getReason())
        : new Line(
            job.getJob(),
            job.getState(),
            result.getSteps(),
            resultStep(result),
            result.getEvalLossBefore(),
            result.getEvalLossAfter(),
            result.getAdapter(),
            result.getAdapterSha256(),
            result.getTokensPerSecond(),
            result.getWallSeconds(),
            result.getGenerations(),
            result.getSamples(),
            job.getReason());
  }

  /** The outcome for people. */
  public String text() {
    if (result == null) {
      String why = job.getReason().isEmpty() ? "." : ": " + job.getReason();
      return "Job %s ended %s after step %d%s"
          .formatted(job.getJob(), job.getState(), job.getStep(), why);
    }
    String text =
        String.format(
            Locale.ROOT,
            "Job %s succeeded: %d steps in %s, %,.0f tokens/s.",
            job.getJob(),
            result.getSteps(),
            Progress.clock(Duration.ofMillis((long) (1000 * result.getWallSeconds()))),
            result.getTokensPerSecond());
    if (Double.isFinite(result.getEvalLossAfter())) {
      text +=
          String.format(
              Locale.ROOT,
              "%nEvaluation loss: %.4f before, %.4f after%s.",
              result.getEvalLossBefore(),
              result.getEvalLossAfter(),
              resultStep(result) == result.getSteps()
                  ? ""
                  : " step %d, the best".formatted(resultStep(result)));
    }
    boolean model = Path.of(result.getAdapter()).endsWith("model");
    return text + (model ? "\nModel: " : "\nAdapter: ") + result.getAdapter();
  }

  /** Earlier versions' coordinators don't say it. */
  private static long resultStep(JobResult result) {
    return result.getResultStep() == 0 ? result.getSteps() : result.getResultStep();
  }

  /** Prints both forms. */
  public void print(Console console) {
    if (succeeded()) {
      console.text(text());
    } else {
      console.talk(text());
    }
    console.json(line());
  }
}
