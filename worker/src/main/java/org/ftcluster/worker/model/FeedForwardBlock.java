package org.ftcluster.worker.model;

import java.util.List;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;
import org.ftcluster.worker.tensor.kernel.GatedUnit;
import org.ftcluster.worker.tensor.kernel.RowOps;
import org.jspecify.annotations.Nullable;

/**
 * The second half of a decoder layer: {@code y = x + (a(n Wgᵀ) (n Wuᵀ)) Wdᵀ} with {@code n =
 * norm(x)}, what is added normed once more in some models.
 */
final class FeedForwardBlock {
  private final Norm norm;
  private final Linear gate;
  private final Linear up;
  private final Linear down;
  private final GatedUnit activation;
  private final OutputNorm outputNorm;
  private final TensorGroup slices;

  /**
   * What the backward needs; the activation and the norm's output are computed again there.
   *
   * @param result what is normed before it is added to the input; null where nothing is
   */
  record Saved(
      Tensor x,
      Tensor gate,
      Tensor up,
      @Nullable Tensor gateBottleneck,
      @Nullable Tensor upBottleneck,
      @Nullable Tensor downBottleneck,
      @Nullable Tensor result) {}

  FeedForwardBlock(
      Norm norm,
      Linear gate,
      Linear up,
      Linear down,
      GatedUnit activation,
      OutputNorm outputNorm,
      TensorGroup slices) {
    this.norm = norm;
    this.gate = gate;
    this.up = up;
    this.down = down;
    this.activation = activation;
    this.outputNorm = outputNorm;
    this.slices = slices;
  }

  List<Linear> linears() {
    return List.of(gate, up, down);
  }

  /**
   * @param saved the topmost scope, where what the backward needs is kept
   * @param y [T, D] out, of a slice its own rows
   * @param x [T, D], of a slice its own rows
   */
  Saved forward(Pass pass, Scope saved, Tensor y, Tensor x) {
    long tokens = x.size(0) * slices.size();
    Tensor g = saved.empty(x.dtype(), tokens, gate.outputs());
    Tensor u = saved.empty(x.dtype(), tokens, up.outputs());
    Tensor gateBottleneck = gate.newBottleneck(saved, x, tokens);
    Tensor upBottleneck = up.newBottleneck(saved, x, tokens);
    Tensor downBottleneck = down.newBottleneck(saved, x, tokens);
    Tensor result = outputNorm.newResult(saved, y);
    Tensor sum = result == null ? y : result;
    try (Scope temporary = pass.workspace().open()) {
      Tensor normed = slices.gather(temporary, norm.forward(temporary, x));
      gate.forward(pass, g, normed, gateBottleneck);
      up.forward(pass, u, normed, upBottleneck);
    }
    try (Scope temporary = pass.workspace().open()) {
      Tensor activated = temporary.empty(x.dtype(), g.shape());
      activation.forward(activated, g, u);
      Tensor summand = slices.roomForAll(temporary, sum);
      down.forward(pass, summand, activated, downBottleneck);
      slices.sum(pass.workspace(), sum, summand);
      outputNorm.apply(y, result);
      RowOps.add(y, x);
    }
    return new Saved(x, g, u, gateBottleneck, upBottleneck, downBottleneck, result);
  }

  /**
   * Turns {@code dx}, the gradient of the output, into that of the input, and leaves the gradients
   * of what is trained. What was saved is overwritten.
   */
  void backward(Pass pass, Tensor dx, Saved saved) {
    try (Scope scope = pass.workspace().open()) {
      Tensor x = saved.x();
      Tensor dGate = saved.gate();
      Tensor dUp = saved.up();
      try (Scope temporary = pass.workspace().open()) {
        Tensor dResult = outputNorm.backward(temporary, dx, saved.result());
        Tensor dyOfAll = slices.gather(temporary, dResult);
        Tensor dyBottleneck = down.bottleneckGradient(pass, temporary, dyOfAll);
        Tensor dActivated = temporary.empty(x.dtype(), dGate.shape());
        down.inputGradient(pass, dActivated, dyOfAll, dyBottleneck, 0);
        Tensor activated = temporary.empty(x.dtype(), dGate.shape());
        activation.backward(activated, dGate, dUp, dActivated);
        down.parameterGradients(pass, dyOfAll, dyBottleneck, activated, saved.downBottleneck());
      }
      Tensor normed = slices.gather(scope, norm.forward(scope, x));
      Tensor gateGradient = gate.bottleneckGradient(pass, scope, dGate);
      Tensor upGradient = up.bottleneckGradient(pass, scope, dUp);
      gate.parameterGradients(pass, dGate, gateGradient, normed, saved.gateBottleneck());
      up.parameterGradients(pass, dUp, upGradient, normed, saved.upBottleneck());
      Tensor dNormed = scope.empty(x.dtype(), normed.shape());
      gate.inputGradient(pass, dNormed, dGate, gateGradient, 0);
      up.inputGradient(pass, dNormed, dUp, upGradient, 1);
      Tensor dOwn = slices.roomForOwn(scope, dNormed);
      slices.sum(pass.workspace(), dOwn, dNormed);
      norm.backward(dx, dOwn, x);
    }
  }
}
