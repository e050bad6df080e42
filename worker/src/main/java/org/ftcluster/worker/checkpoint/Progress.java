package org.ftcluster.worker.checkpoint;

import org.ftcluster.protocol.message.RankReport.StepMetrics;
import org.jspecify.annotations.Nullable;

/**
 * How far training has come, beside the tensors.
 *
 * @param step optimizer steps done
 * @param evalLossBefore before the first step; NaN where that is not known
 * @param samples trained on so far
 * @param tokens trained on so far
 * @param seconds spent in steps so far
 * @param last the last step's, so that whoever goes on can write a line that its predecessor didn't
 *     get to; {@code null} before the first
 */
public record Progress(
    long step,
    double evalLossBefore,
    long samples,
    long tokens,
    double seconds,
    @Nullable StepMetrics last) {
  /** Where a job begins. */
  public static final Progress NONE = new Progress(0, Double.NaN, 0, 0, 0, null);

  /** The same, once the loss before training is known. */
  public Progress withEvalLossBefore(double loss) {
    return new Progress(step, loss, samples, tokens, seconds, last);
  }

  /** The same, one step on. */
  public Progress plus(StepMetrics metrics, long stepTokens, double stepSeconds) {
    return new Progress(
        metrics.step(),
        evalLossBefore,
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
