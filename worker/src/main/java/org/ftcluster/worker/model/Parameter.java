package org.ftcluster.worker.model;

import java.util.function.UnaryOperator;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;
import org.ftcluster.worker.tensor.Workspace;
import org.ftcluster.worker.tensor.kernel.RowOps;
import org.ftcluster.worker.tensor.kernel.SmallProducts;
import org.jspecify.annotations.Nullable;

/**
 * A tensor that layers compute with. A frozen one is its value; a trained one is a slice of the
 * {@link ParameterBuffer}, float32 like its gradient, and has a copy where products are computed in
 * another type.
 */
final class Parameter {
  private final Tensor value;
  private final @Nullable Tensor master;
  private final @Nullable Tensor gradient;

  private Parameter(Tensor value, @Nullable Tensor master, @Nullable Tensor gradient) {
    this.value = value;
    this.master = master;
    this.gradient = gradient;
  }

  static Parameter frozen(Tensor value) {
    return new Parameter(value, null, null);
  }

  /**
   * A part of one of the buffer's tensors.
   *
   * @param scope where a copy stays
   * @param type that it is used in
   * @param part of the tensor
   */
  static Parameter trained(
      Scope scope,
      ParameterTensors parameters,
      ParameterBuffer.Slice slice,
      DType type,
      UnaryOperator<Tensor> part) {
    Tensor master = part.apply(parameters.values(slice));
    Tensor gradient = part.apply(parameters.gradients(slice));
    Tensor value = type == DType.FLOAT32 ? master : scope.zeros(type, master.shape());
    return new Parameter(value, master, gradient);
  }

  /**
   * One of which this rank has a share only, gathered when it is needed.
   *
   * @param value in the type that it is used in
   */
  static Parameter gathered(Tensor value, Tensor gradient) {
    return new Parameter(value, null, gradient);
  }

  /** In the type that it is used in. */
  Tensor value() {
    return value;
  }

  boolean isTrained() {
    return gradient != null;
  }

  /** Float32, in the shape of the value. */
  Tensor gradient() {
    if (gradient == null) {
      throw new IllegalStateException("a frozen parameter has no gradient");
    }
    return gradient;
  }

  /** Where there is one. */
  void clearGradient() {
    if (gradient != null) {
      gradient.clear();
    }
  }

  /** Bytes that it takes where it is frozen. */
  long frozenBytes() {
    return isTrained() ? 0 : bytes();
  }

  /** Bytes that it takes beside the parameter buffer, where it is trained. */
  long copyBytes() {
    return master != null && value != master ? bytes() : 0;
  }

  private long bytes() {
    return value.elements() * value.dtype().bytes();
  }

  /** Takes over what was written to the parameter buffer. */
  void changed() {
    if (master != null && value != master) {
      RowOps.copy(value, master);
    }
  }

  /** {@code gradient = scale left right}, of factors in the value's type. */
  void setGradient(Workspace workspace, Tensor left, Tensor right, double scale) {
    SmallProducts.multiply(workspace, gradient(), left, right, scale);
  }

  /** {@code gradient += left right}, of factors in the value's type. */
  void addToGradient(Workspace workspace, Tensor left, Tensor right) {
    SmallProducts.add(workspace, gradient(), left, right, 1);
  }
}
