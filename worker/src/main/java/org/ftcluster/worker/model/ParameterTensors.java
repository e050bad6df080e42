package org.ftcluster.worker.model;

import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.FiledMemory;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;

/**
 * Where layers find what is trained, and leave its gradients: the {@link ParameterBuffer} itself,
 * or a copy of it in an accelerator's memory.
 */
final class ParameterTensors {
  private final ParameterBuffer buffer;
  private final Tensor values;
  private final Tensor gradients;

  /**
   * @param scope where a copy stays, if it is an accelerator's
   */
  ParameterTensors(Scope scope, ParameterBuffer buffer) {
    this.buffer = buffer;
    if (scope.isOnDevice()) {
      values = scope.zeros(DType.FLOAT32, buffer.size());
      gradients = scope.zeros(DType.FLOAT32, buffer.size());
    } else {
      values = scope.wrap(buffer.values(), DType.FLOAT32, buffer.size());
      gradients = scope.wrap(buffer.gradients(), DType.FLOAT32, buffer.size());
    }
  }

  /** float32. */
  Tensor values(ParameterBuffer.Slice slice) {
    return part(values, slice);
  }

  /** float32. */
  Tensor gradients(ParameterBuffer.Slice slice) {
    return part(gradients, slice);
  }

  private static Tensor part(Tensor all, ParameterBuffer.Slice slice) {
    return all.slice(0, slice.offset(), slice.offset() + slice.size()).view(slice.shape());
  }

  boolean areOnDevice() {
    return values.isOnDevice();
  }

  /** Takes over what was written to the buffer's values. */
  void valuesChanged() {
    if (areOnDevice()) {
      values.device().upload(values.address(), buffer.values());
    }
  }

  /** They may leave memory, where they lie on a disk. */
  void valuesUsed() {
    FiledMemory.letGo(buffer.values());
  }

  /** Brings all gradients to the buffer. */
  void gradientsDone() {
    if (areOnDevice()) {
      gradients.device().download(buffer.gradients(), gradients.address());
    }
  }
}
