package org.ftcluster.worker.model;

import java.util.Arrays;

/**
 * A model under training, as the training loop sees it. All calls come from one thread, the rank's.
 */
public interface TrainableModel extends AutoCloseable {
  /** The trained parameters, and where {@link #forwardBackward} leaves gradients. */
  ParameterBuffer parameters();

  /**
   * Sets the parameters to what training begins from: a new adapter that changes nothing yet, or
   * the base model's weights.
   */
  void initialize(long seed);

  /**
   * To be called after {@link #parameters} were written, before the next pass: refreshes what was
   * derived from them.
   */
  void parametersChanged();

  /**
   * Runs one micro-batch forward and backward, and overwrites {@code parameters().gradients()} with
   * the gradient of {@code lossScale * (sum of the losses of all targets)}, or of all pairs where
   * the batch has {@link TokenBatch#pairs}.
   *
   * @param dropoutSeed decides the dropout masks, with the layer; a function of (seed, step,
   *     micro-batch)
   * @return that sum
   */
  double forwardBackward(TokenBatch batch, double lossScale, long dropoutSeed);

  /**
   * The same, and says on the way which gradients are complete. Those of a model whose values are
   * shared out go to {@code listener} alone.
   */
  default double forwardBackward(
      TokenBatch batch, double lossScale, long dropoutSeed, GradientListener listener) {
    return forwardBackward(batch, lossScale, dropoutSeed);
  }

  /**
   * The sum of the losses over each sequence's targets, in nats, without dropout and without
   * touching gradients.
   *
   * @param adapted false for the base alone, without what is trained beside it
   */
  double[] losses(TokenBatch batch, boolean adapted);

  /** The sum over all sequences. */
  default double lossSum(TokenBatch batch) {
    return Arrays.stream(losses(batch, true)).sum();
  }

  /**
   * Takes part in what ranks do for each other while a batch goes through, where this one has none
   * and others do.
   *
   * @param training whether they run it backward, too
   * @param listener hears when they have gradients
   */
  default void accompany(boolean training, GradientListener listener) {}

  /** Bytes of frozen weights as they are held, and of copies of trained ones; 0 where unknown. */
  default long weightBytes() {
    return 0;
  }

  /** The most bytes of activations that were held at once; 0 where unknown. */
  default long peakActivationBytes() {
    return 0;
  }

  @Override
  void close();
}
