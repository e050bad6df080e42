package org.ftcluster.worker.optimizer;

/** A gradient or loss is NaN, infinite, or larger than any that training could make use of. */
public final class NonFiniteGradientException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  public NonFiniteGradientException(String message) {
    super(message);
  }
}
