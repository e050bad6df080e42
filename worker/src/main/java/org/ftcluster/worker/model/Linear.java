package org.ftcluster.worker.model;

import org.ftcluster.worker.quantization.DenseWeight;
import org.ftcluster.worker.quantization.Weight;
import org.ftcluster.worker.tensor.Aten;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;
import org.ftcluster.worker.tensor.kernel.RowOps;
import org.jspecify.annotations.Nullable;

/**
 * A linear layer {@code y = x Wᵀ + b}, either trained as it is, or frozen with an optional adapter:
 * {@code y += s dropout(x) Aᵀ Bᵀ}.
 *
 * <p>The backward comes in two halves, since some callers know the gradient of the output before
 * they have the input at hand again: {@link #inputGradient}, then {@link #parameterGradients}.
 */
final class Linear {
  private final Weight weight;
  private final @Nullable Parameter trained;
  private final @Nullable Parameter bias;
  private final @Nullable Lora lora;

  private Linear(
      Weight weight, @Nullable Parameter trained, @Nullable Parameter bias, @Nullable Lora lora) {
    this.weight = weight;
    this.trained = trained;
    this.bias = bias;
    this.lora = lora;
  }

  static Linear frozen(Weight weight, @Nullable Parameter bias, @Nullable Lora lora) {
    return new Linear(weight, null, bias, lora);
  }

  static Linear trained(Parameter weight, @Nullable Parameter bias) {
    return new Linear(new DenseWeight(weight.value()), weight, bias, null);
  }

  long outputs() {
    return weight.rows();
  }

  long inputs() {
    return weight.columns();
  }

  /** Bytes that a frozen weight takes, as it is held. */
  long frozenBytes() {
    return trained == null ? weight.bytes() : 0;
  }

  /**
   * Room for {@code dropout(x) Aᵀ} [T, R], which the forward writes and the backward reads; null
   * without an adapter.
   */
  @Nullable Tensor newBottleneck(Scope scope, Tensor x, long tokens) {
    return lora == null ? null : scope.empty(x.dtype(), tokens, lora.rank());
  }

  /** Writes {@code y} [T, out] from {@code x} [T, in]. */
  void forward(Pass pass, Tensor y, Tensor x, @Nullable Tensor bottleneck) {
    try (Scope temporary = pass.workspace().open()) {
      Tensor w = weight.expand(temporary);
      if (bias == null) {
        Aten.mm(y, x, w.transpose());
      } else {
        RowOps.fill(y, bias.value());
        Aten.addmm(y, x, w.transpose(), 1, 1);
      }
    }
    if (lora != null && bottleneck != null && pass.adapted()) {
      lora.forward(pass, y, x, bottleneck);
    }
  }

  /** {@code s dy B} [T, R], which both halves of the backward need; null without an adapter. */
  @Nullable Tensor bottleneckGradient(Pass pass, Scope scope, Tensor dy) {
    if (lora == null) {
      return null;
    }
    Tensor gradient = scope.empty(dy.dtype(), dy.size(0), lora.rank());
    lora.bottleneckGradient(pass, gradient, dy);
    return gradient;
  }

  /**
   * {@code dx = beta dx + dy W + s (dy B) A}.
   *
   * @param beta 0 to overwrite {@code dx}, 1 to add to it
   */
  void inputGradient(
      Pass pass, Tensor dx, Tensor dy, @Nullable Tensor bottleneckGradient, int beta) {
    try (Scope temporary = pass.workspace().open()) {
      Tensor w = weight.expand(temporary);
      if (beta == 0) {
        Aten.mm(dx, dy, w);
      } else {
        Aten.addmm(dx, dy, w, beta, 1);
      }
    }
    if (lora != null && bottleneckGradient != null) {
      lora.inputGradient(pass, dx, bottleneckGradient);
    }
  }

  /** Leaves the gradients of what is trained in the gradient buffer. */
  void parameterGradients(
      Pass pass,
      Tensor dy,
      @Nullable Tensor bottleneckGradient,
      Tensor x,
      @Nullable Tensor bottleneck) {
    if (trained != null) {
      trained.setGradient(pass.workspace(), dy.transpose(), x, 1);
    }
    if (bias != null && bias.isTrained()) {
      RowOps.sumRows(bias.gradient(), dy);
    }
    if (lora != null && bottleneckGradient != null && bottleneck != null) {
      lora.parameterGradients(pass, dy, bottleneckGradient, x, bottleneck);
    }
  }
}
