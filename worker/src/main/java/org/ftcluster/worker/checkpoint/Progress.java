package org.ftcluster.worker.checkpoint;

import com.fasterxml.jackson.annotation.JsonInclude;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.stream.Stream;
import org.ftcluster.protocol.message.RankReport.StepMetrics;
import org.jspecify.annotations.Nullable;

/**
 * How far training has come, beside the tensors.
 *
 * @param step optimizer steps done
 * @param evalLossBefore before the first step; NaN where that is not known
 * @param evaluations since then, by step
 * @param samples trained on so far
 * @param tokens trained on so far
 * @param seconds spent in steps so far
 * @param last the last step's, so that whoever goes on can write a line that its predecessor didn't
 *     get to; {@code null} before the first
 */
public record Progress(
    long step,
    double evalLossBefore,
    @JsonInclude(JsonInclude.Include.NON_EMPTY) List<Evaluated> evaluations,
    long samples,
    long tokens,
    double seconds,
    @Nullable StepMetrics last) {
  /** Where a job begins. */
  public static final Progress NONE = new Progress(0, Double.NaN, List.of(), 0, 0, 0, null);

  /**
   * The mean loss over the evaluation data after a step.
   *
   * @param accuracy share of pairs whose better answer was ahead; null without pairs
   * @param kept whether a checkpoint was kept so that the result can be made of it
   */
  public record Evaluated(
      long step,
      double evalLoss,
      @JsonInclude(JsonInclude.Include.NON_NULL) @Nullable Double accuracy,
      boolean kept) {}

  public Progress {
    // Checkpoints of earlier versions don't say it.
    evaluations = List.copyOf(Objects.requireNonNullElse(evaluations, List.of()));
  }

  /** The same, once the loss before training is known. */
  public Progress withEvalLossBefore(double loss) {
    return new Progress(step, loss, evaluations, samples, tokens, seconds, last);
  }

  /** The same, once this step's loss is known; see {@link Evaluated}. */
  public Progress withEvalLoss(double loss, @Nullable Double accuracy, boolean kept) {
    List<Evaluated> more = new ArrayList<>(evaluations);
    more.add(new Evaluated(step, loss, accuracy, kept));
    return new Progress(step, evalLossBefore, more, samples, tokens, seconds, last);
  }

  /** The loss after this step, where it is known. */
  public OptionalDouble evalLoss() {
    return evaluations.isEmpty() || evaluations.getLast().step() != step
        ? OptionalDouble.empty()
        : OptionalDouble.of(evaluations.getLast().evalLoss());
  }

  /** The evaluation with the lowest loss, the first of such; nothing where there is none. */
  public Optional<Evaluated> best() {
    return best(evaluations.stream());
  }

  /** The best one that was kept. */
  public Optional<Evaluated> bestKept() {
    return best(evaluations.stream().filter(Evaluated::kept));
  }

  private static Optional<Evaluated> best(Stream<Evaluated> evaluations) {
    return evaluations.min(Comparator.comparingDouble(Evaluated::evalLoss));
  }

  /** The same, one step on. */
  public Progress plus(StepMetrics metrics, long stepTokens, double stepSeconds) {
    return new Progress(
        metrics.step(),
        evalLossBefore,
        evaluations,
        samples + metrics.samples(),
        tokens + stepTokens,
        seconds + stepSeconds,
        metrics);
  }

  /** Input tokens trained on, by seconds spent in steps. */
  public double tokensPerSecond() {
    return seconds == 0 ? 0 : tokens / seconds;
  }
}
