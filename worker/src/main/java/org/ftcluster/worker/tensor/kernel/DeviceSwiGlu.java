package org.ftcluster.worker.tensor.kernel;

import org.ftcluster.worker.tensor.Kernel;
import org.ftcluster.worker.tensor.Parallel.Cost;
import org.ftcluster.worker.tensor.Tensor;

/** {@link SwiGlu} on an accelerator. */
final class DeviceSwiGlu {
  private static final String FILE = "swiglu";

  private DeviceSwiGlu() {}

  static void forward(Tensor y, Tensor gate, Tensor up) {
    int width = DeviceRows.widthAlike(y, gate, up);
    DeviceRows.run(
        Cost.through("SwiGLU", y, gate, up),
        y,
        new Kernel(FILE, "swiglu", y.dtype()),
        y.size(0),
        y,
        y.stride(0),
        gate,
        gate.stride(0),
        up,
        up.stride(0),
        width,
        DeviceRows.wide(width, y, gate, up));
  }

  static void backward(Tensor y, Tensor gate, Tensor up, Tensor dy) {
    int width = DeviceRows.widthAlike(y, gate, up, dy);
    DeviceRows.run(
        Cost.through("SwiGLU backward", y, gate, up, gate, up, dy),
        y,
        new Kernel(FILE, "swiglu_backward", y.dtype()),
        y.size(0),
        y,
        y.stride(0),
        gate,
        gate.stride(0),
        up,
        up.stride(0),
        dy,
        dy.stride(0),
        width,
        DeviceRows.wide(width, y, gate, up, dy));
  }
}
