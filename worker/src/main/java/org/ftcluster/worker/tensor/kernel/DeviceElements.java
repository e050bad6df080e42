package org.ftcluster.worker.tensor.kernel;

import org.ftcluster.worker.tensor.Kernel;
import org.ftcluster.worker.tensor.Parallel.Cost;
import org.ftcluster.worker.tensor.Tensor;

/** {@link Elements} on an accelerator. */
final class DeviceElements {
  private static final String FILE = "elements";

  private DeviceElements() {}

  static void scale(Tensor x, float factor) {
    int width = DeviceRows.width(x);
    DeviceRows.run(
        Cost.through("scale", x, x),
        x,
        new Kernel(FILE, "scale", x.dtype()),
        x.size(0),
        x,
        x.stride(0),
        factor,
        width,
        DeviceRows.wide(width, x));
  }

  static void cap(Tensor x, float cap) {
    int width = DeviceRows.width(x);
    DeviceRows.run(
        Cost.through("cap", x, x),
        x,
        new Kernel(FILE, "cap", x.dtype()),
        x.size(0),
        x,
        x.stride(0),
        cap,
        width,
        DeviceRows.wide(width, x));
  }

  static void capBackward(Tensor dx, Tensor y, float cap) {
    int width = DeviceRows.widthAlike(dx, y);
    DeviceRows.run(
        Cost.through("cap backward", dx, dx, y),
        dx,
        new Kernel(FILE, "cap_backward", dx.dtype()),
        dx.size(0),
        dx,
        dx.stride(0),
        y,
        y.stride(0),
        cap,
        width,
        DeviceRows.wide(width, dx, y));
  }
}
