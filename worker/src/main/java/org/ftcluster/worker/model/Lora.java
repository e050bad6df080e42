package org.ftcluster.worker.model;

import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;
import org.ftcluster.worker.tensor.kernel.Dropout;
import org.ftcluster.worker.tensor.kernel.SmallProducts;

/**
 * The low-rank part of one linear layer (arXiv:2106.09685).
 *
 * @param a [R, in]
 * @param b [out, R]
 * @param scaling factor of the low-rank product
 * @param dropout probability that an input is dropped
 * @param index of this adapter among the model's, for its dropout masks
 * @param inputs columns that this slice has of the layer's input
 * @param width columns of the whole input
 * @param first of the projections that share A; the others add to its gradient, and have theirs
 *     computed later
 */
record Lora(
    Parameter a,
    Parameter b,
    double scaling,
    double dropout,
    int index,
    Span inputs,
    int width,
    boolean first) {
  long rank() {
    return a.value().size(0);
  }

  /**
   * {@code y += s dropout(x) Aᵀ Bᵀ}, and {@code bottleneck = dropout(x) Aᵀ} [T, R] is kept for the
   * backward.
   */
  void forward(Pass pass, Tensor y, Tensor x, Tensor bottleneck) {
    try (Scope temporary = pass.workspace().open()) {
      Tensor input = dropped(pass, temporary, x);
      SmallProducts.multiply(pass.workspace(), bottleneck, input, a.value().transpose(), 1);
    }
    SmallProducts.add(pass.workspace(), y, bottleneck, b.value().transpose(), scaling);
  }

  /** {@code gradient = s dy B} [T, R], of the bottleneck. */
  void bottleneckGradient(Pass pass, Tensor gradient, Tensor dy) {
    SmallProducts.multiply(pass.workspace(), gradient, dy, b.value(), scaling);
  }

  /** {@code dx += dropout'(gradient A)}. */
  void inputGradient(Pass pass, Tensor dx, Tensor gradient) {
    if (!drops(pass)) {
      SmallProducts.add(pass.workspace(), dx, gradient, a.value(), 1);
      return;
    }
    try (Scope temporary = pass.workspace().open()) {
      Tensor full = temporary.empty(dx.dtype(), dx.shape());
      SmallProducts.multiply(pass.workspace(), full, gradient, a.value(), 1);
      Dropout.add(dx, full, mask(pass));
    }
  }

  /**
   * {@code dA = gradientᵀ dropout(x)} and {@code dB = s dyᵀ bottleneck}, into the gradient buffer.
   */
  void parameterGradients(Pass pass, Tensor dy, Tensor gradient, Tensor x, Tensor bottleneck) {
    try (Scope temporary = pass.workspace().open()) {
      Tensor input = dropped(pass, temporary, x);
      if (first) {
        a.setGradient(pass.workspace(), gradient.transpose(), input, 1);
      } else {
        a.addToGradient(pass.workspace(), gradient.transpose(), input);
      }
      b.setGradient(pass.workspace(), dy.transpose(), bottleneck, scaling);
    }
  }

  private boolean drops(Pass pass) {
    return pass.dropout() && dropout > 0;
  }

  private Tensor dropped(Pass pass, Scope scope, Tensor x) {
    if (!drops(pass)) {
      return x;
    }
    Tensor kept = scope.empty(x.dtype(), x.shape());
    Dropout.drop(kept, x, mask(pass));
    return kept;
  }

  private Dropout.Mask mask(Pass pass) {
    return new Dropout.Mask(dropout, pass.dropoutSeed() * 31 + index, inputs.from(), width);
  }
}
