package org.ftcluster.worker.model;

import org.ftcluster.worker.tensor.Accelerator;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.FiledMemory;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/**
 * Where layers find what is trained, and leave its gradients: the {@link ParameterBuffer} itself,
 * or its copy in an accelerator's memory.
 */
final class ParameterTensors {
  private final ParameterBuffer buffer;
  private final @Nullable DeviceParameters copy;
  private final Tensor values;
  private final Tensor gradients;

  /**
   * @param scope of the layers; where it is an accelerator's, the copy there is meant
   */
  ParameterTensors(Scope scope, ParameterBuffer buffer) {
    this.buffer = buffer;
    Accelerator accelerator = scope.accelerator();
    copy = accelerator == null ? null : buffer.on(accelerator);
    values = scope.at(copy == null ? buffer.values() : copy.values(), DType.FLOAT32, buffer.size());
    gradients =
        scope.at(
            copy == null ? buffer.gradients() : copy.gradients(), DType.FLOAT32, buffer.size());
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

  /** Takes over what was written to the buffer's values. */
  void valuesChanged() {
    if (copy != null) {
      copy.takeValues();
    }
  }

  /** They may leave memory, where they lie on a disk. */
  void valuesUsed() {
    FiledMemory.letGo(buffer.values());
  }

  /** All of them become zero. */
  void clearGradients() {
    gradients.clear();
  }

  /** Whether layers leave gradients where the listener doesn't take them from. */
  boolean areToBeBrought(GradientListener listener) {
    return copy != null && !listener.takesFromDevice();
  }

  /** Brings all gradients to where the listener takes them from. */
  void gradientsDone(GradientListener listener) {
    if (copy != null && areToBeBrought(listener)) {
      copy.bringGradients();
    }
  }
}
