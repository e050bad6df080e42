package org.ftcluster.worker.model;

import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/**
 * The norm of what a block computes, before it is added to the block's input, as Gemma has them.
 *
 * @param norm null where results are added as they are
 */
record OutputNorm(@Nullable Norm norm) {
  /**
   * Room for what is normed, which the backward needs; null where nothing is.
   *
   * @param y [T, D] that gets the norm
   */
  @Nullable Tensor newResult(Scope saved, Tensor y) {
    return norm == null ? null : saved.empty(y.dtype(), y.shape());
  }

  /** {@code y} becomes the norm of {@code result}, which may be {@code y}; nothing without one. */
  void apply(Tensor y, @Nullable Tensor result) {
    if (norm != null && result != null) {
      norm.apply(y, result);
    }
  }

  /**
   * The gradient of what was normed, {@code dy} itself where nothing was; leaves the weight's where
   * it is trained.
   */
  Tensor backward(Scope scope, Tensor dy, @Nullable Tensor result) {
    if (norm == null || result == null) {
      return dy;
    }
    Tensor gradient = scope.zeros(dy.dtype(), dy.shape());
    norm.backward(gradient, dy, result);
    return gradient;
  }
}
