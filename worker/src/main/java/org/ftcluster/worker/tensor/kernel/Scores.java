package org.ftcluster.worker.tensor.kernel;

/**
 * How attention's scores come from queries and keys: {@code scale q k}, or {@code cap tanh(scale q
 * k / cap)} where there is a cap (arXiv:2408.00118).
 *
 * @param cap 0 for none
 */
public record Scores(double scale, double cap) {
  public Scores {
    if (scale <= 0 || cap < 0) {
      throw new IllegalArgumentException("a scale of %s, capped at %s".formatted(scale, cap));
    }
  }

  /** Without a cap. */
  public static Scores scaled(double scale) {
    return new Scores(scale, 0);
  }

  public boolean areCapped() {
    return cap > 0;
  }

  /** The score of a product. */
  float of(float product) {
    double score = scale * product;
    return (float) (areCapped() ? cap * Math.tanh(score / cap) : score);
  }
}
