package org.ftcluster.worker.model;

import org.ftcluster.worker.tensor.Tensor;
import org.ftcluster.worker.tensor.kernel.CrossEntropy;
import org.ftcluster.worker.tensor.kernel.SlicedCrossEntropy;

/**
 * The cross-entropy of logits over a vocabulary, or over a slice of one: then each slice finds its
 * largest logit and the sum of its exponentials, and from all of those every slice knows the whole
 * vocabulary's.
 *
 * @param tokens that the logits are of
 */
record TargetLoss(Span tokens, TensorGroup slices, boolean isSliced) {
  /**
   * @param logits [N, V] of {@code tokens}
   * @param targets of each row, negative for one that carries no loss; {@code targets[start]}
   *     belongs to row 0
   * @param losses where each row's loss goes, from index {@code start}
   */
  void forward(Tensor logits, int[] targets, int start, float[] losses) {
    if (isSliced) {
      statistics(logits, targets, start).losses(targets, start, losses);
    } else {
      CrossEntropy.forward(logits, targets, start, losses);
    }
  }

  /**
   * As {@link #forward}; then turns {@code logits} into the gradient of {@code scale} times the sum
   * of the losses.
   */
  void forwardBackward(Tensor logits, int[] targets, int start, float[] losses, double scale) {
    if (isSliced) {
      SlicedCrossEntropy.Statistics all = statistics(logits, targets, start);
      all.losses(targets, start, losses);
      SlicedCrossEntropy.gradient(logits, targets, start, tokens.from(), all, scale);
    } else {
      CrossEntropy.forwardBackward(logits, targets, start, losses, scale);
    }
  }

  private SlicedCrossEntropy.Statistics statistics(Tensor logits, int[] targets, int start) {
    float[] own = SlicedCrossEntropy.statistics(logits, targets, start, tokens.from());
    return SlicedCrossEntropy.combine(slices.gather(own, logits), Math.toIntExact(logits.size(0)));
  }
}
