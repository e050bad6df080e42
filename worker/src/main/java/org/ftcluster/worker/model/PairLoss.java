package org.ftcluster.worker.model;

import org.ftcluster.protocol.job.JobSpec;

/**
 * What two answers to the same prompt cost, of which the first is the better one; and how that
 * changes with what the model makes of each. DPO as in arXiv:2305.18290, IPO in arXiv:2310.12036 (a
 * token's mean, as TRL has it), SimPO in arXiv:2405.14734, ORPO in arXiv:2403.07691.
 */
public record PairLoss(JobSpec.Preference settings) {
  /** A probability of 1 would make the odds infinite; losses are no more exact than this. */
  private static final double LEAST_NATS = 1e-7;

  /**
   * One answer.
   *
   * @param nats sum of {@code -log p} of its tokens
   * @param tokens how many
   * @param referenceNats the same sum of the model without its adapter; not looked at where none is
   *     needed
   */
  public record Answer(double nats, int tokens, double referenceNats) {
    private double mean() {
      return nats / tokens;
    }

    /** How much more probable it became, in nats. */
    private double gain() {
      return referenceNats - nats;
    }
  }

  /**
   * A pair's.
   *
   * @param margin by how much the better answer is ahead, above 0 where it is
   * @param byBetter derivative of the loss by the better answer's nats
   * @param byWorse by the worse one's
   */
  public record Result(double loss, double margin, double byBetter, double byWorse) {}

  public boolean needsReference() {
    return settings.loss().needsReference();
  }

  public Result of(Answer better, Answer worse) {
    return switch (settings.loss()) {
      case DPO -> dpo(better, worse);
      case IPO -> ipo(better, worse);
      case SIMPO -> simpo(better, worse);
      case ORPO -> orpo(better, worse);
    };
  }

  private Result dpo(Answer better, Answer worse) {
    double margin = settings.beta() * (better.gain() - worse.gain());
    double wrong = settings.labelSmoothing();
    double loss = (1 - wrong) * softplus(-margin) + wrong * softplus(margin);
    double byMargin = -(1 - wrong) * sigmoid(-margin) + wrong * sigmoid(margin);
    double slope = settings.beta() * byMargin;
    return new Result(loss, margin, -slope, slope);
  }

  private Result ipo(Answer better, Answer worse) {
    double ahead = better.gain() / better.tokens() - worse.gain() / worse.tokens();
    double off = ahead - 1 / (2 * settings.beta());
    return new Result(
        off * off, settings.beta() * ahead, -2 * off / better.tokens(), 2 * off / worse.tokens());
  }

  private Result simpo(Answer better, Answer worse) {
    double margin = settings.beta() * (worse.mean() - better.mean());
    double missing = settings.gamma() - margin;
    double slope = settings.beta() * sigmoid(missing);
    return new Result(softplus(missing), margin, slope / better.tokens(), -slope / worse.tokens());
  }

  private Result orpo(Answer better, Answer worse) {
    double ahead = logOdds(better) - logOdds(worse);
    double slope = settings.beta() * sigmoid(-ahead);
    return new Result(
        better.mean() + settings.beta() * softplus(-ahead),
        settings.beta() * ahead,
        (1 + slope * oddsSlope(better)) / better.tokens(),
        -slope * oddsSlope(worse) / worse.tokens());
  }

  /** {@code log(p / (1 - p))} of the tokens' mean probability. */
  private static double logOdds(Answer answer) {
    double nats = Math.max(LEAST_NATS, answer.mean());
    return -nats - Math.log(-Math.expm1(-nats));
  }

  /** By how much the log odds sink with the mean nats. */
  private static double oddsSlope(Answer answer) {
    return -1 / Math.expm1(-Math.max(LEAST_NATS, answer.mean()));
  }

  private static double sigmoid(double x) {
    return 1 / (1 + Math.exp(-x));
  }

  /** {@code log(1 + exp(x))}. */
  private static double softplus(double x) {
    return Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
  }
}
