package org.ftcluster.worker.model;

import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;
import org.ftcluster.worker.tensor.kernel.RmsNorm;

/**
 * A root-mean-square norm.
 *
 * @param weight float32 [D]
 * @param offset that is added to it
 */
record Norm(Parameter weight, float offset, double eps) {
  /** The norm of {@code x} [T, D], in {@code scope}. */
  Tensor forward(Scope scope, Tensor x) {
    Tensor normed = scope.empty(x.dtype(), x.shape());
    apply(normed, x);
    return normed;
  }

  /** {@code y} [T, D], which may be {@code x}, becomes the norm of {@code x}. */
  void apply(Tensor y, Tensor x) {
    RmsNorm.forward(y, x, weight.value(), offset, eps);
  }

  /**
   * Adds the gradient of the input to {@code dx}, and leaves the weight's where it is trained.
   *
   * @param dNormed gradient of the output
   * @param x input of the forward
   */
  void backward(Tensor dx, Tensor dNormed, Tensor x) {
    if (weight.isTrained()) {
      RmsNorm.weightGradient(weight.gradient(), dNormed, x, eps);
    }
    RmsNorm.backward(dx, dNormed, x, weight.value(), offset, eps);
  }
}
