package org.ftcluster.worker.model;

import java.lang.foreign.MemorySegment;
import org.ftcluster.worker.tensor.Aten;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;
import org.ftcluster.worker.tensor.kernel.RowOps;

/**
 * The low-rank part of one linear layer (arXiv:2106.09685): A [R, in] and B [out, R], as slices of
 * the trained parameters and, where products run in bfloat16, as copies in that type.
 */
final class Lora {
  private final Tensor masterA;
  private final Tensor masterB;
  private final Tensor gradientA;
  private final Tensor gradientB;
  private final Tensor a;
  private final Tensor b;
  private final double scaling;
  private final double dropout;
  private final int index;

  /**
   * @param scope where the copies stay
   * @param first the slice of A; B's is the next one
   * @param dropout probability that an input is dropped
   * @param index of this adapter among the model's, for its dropout masks
   */
  Lora(
      Scope scope,
      ParameterBuffer parameters,
      int first,
      DType computeType,
      double scaling,
      double dropout,
      int index) {
    ParameterBuffer.Slice sliceA = parameters.slices().get(first);
    ParameterBuffer.Slice sliceB = parameters.slices().get(first + 1);
    masterA = view(scope, parameters.values(), sliceA);
    masterB = view(scope, parameters.values(), sliceB);
    gradientA = view(scope, parameters.gradients(), sliceA);
    gradientB = view(scope, parameters.gradients(), sliceB);
    boolean copies = computeType != DType.FLOAT32;
    a = copies ? scope.zeros(computeType, sliceA.shape()) : masterA;
    b = copies ? scope.zeros(computeType, sliceB.shape()) : masterB;
    this.scaling = scaling;
    this.dropout = dropout;
    this.index = index;
  }

  private static Tensor view(Scope scope, MemorySegment buffer, ParameterBuffer.Slice slice) {
    long start = slice.offset() * Float.BYTES;
    return scope.wrap(
        buffer.asSlice(start, slice.size() * Float.BYTES), DType.FLOAT32, slice.shape());
  }

  long rank() {
    return a.size(0);
  }

  void parametersChanged() {
    if (a != masterA) {
      RowOps.copy(a, masterA);
      RowOps.copy(b, masterB);
    }
  }

  /**
   * {@code y += s dropout(x) Aᵀ Bᵀ}, and {@code bottleneck = dropout(x) Aᵀ} [T, R] is kept for the
   * backward.
   */
  void forward(Pass pass, Tensor y, Tensor x, Tensor bottleneck) {
    try (Scope temporary = pass.workspace().open()) {
      Aten.mm(bottleneck, dropped(pass, temporary, x), a.transpose());
    }
    Aten.addmm(y, bottleneck, b.transpose(), 1, scaling);
  }

  /** {@code gradient = s dy B} [T, R], of the bottleneck. */
  void bottleneckGradient(Tensor gradient, Tensor dy) {
    Aten.addmm(gradient, dy, b, 0, scaling);
  }

  /** {@code dx += dropout'(gradient A)}. */
  void inputGradient(Pass pass, Tensor dx, Tensor gradient) {
    if (!drops(pass)) {
      Aten.addmm(dx, gradient, a, 1, 1);
      return;
    }
    try (Scope temporary = pass.workspace().open()) {
      Tensor full = temporary.empty(dx.dtype(), dx.shape());
      Aten.mm(full, gradient, a);
      RowOps.addDropped(dx, full, dropout, seed(pass));
    }
  }

  /**
   * {@code dA = gradientᵀ dropout(x)} and {@code dB = s dyᵀ bottleneck}, into the gradient buffer.
   */
  void parameterGradients(Pass pass, Tensor dy, Tensor gradient, Tensor x, Tensor bottleneck) {
    try (Scope temporary = pass.workspace().open()) {
      Tensor input = dropped(pass, temporary, x);
      if (a == masterA) {
        Aten.mm(gradientA, gradient.transpose(), input);
        Aten.addmm(gradientB, dy.transpose(), bottleneck, 0, scaling);
      } else {
        Tensor da = temporary.empty(a.dtype(), a.shape());
        Tensor db = temporary.empty(b.dtype(), b.shape());
        Aten.mm(da, gradient.transpose(), input);
        Aten.addmm(db, dy.transpose(), bottleneck, 0, scaling);
        RowOps.copy(gradientA, da);
        RowOps.copy(gradientB, db);
      }
    }
  }

  private boolean drops(Pass pass) {
    return pass.dropout() && dropout > 0;
  }

  private Tensor dropped(Pass pass, Scope scope, Tensor x) {
    if (!drops(pass)) {
      return x;
    }
    Tensor kept = scope.zeros(x.dtype(), x.shape());
    RowOps.addDropped(kept, x, dropout, seed(pass));
    return kept;
  }

  private long seed(Pass pass) {
    return pass.dropoutSeed() * 31 + index;
  }
}
