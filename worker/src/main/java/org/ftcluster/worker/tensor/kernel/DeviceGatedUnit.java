package org.ftcluster.worker.tensor.kernel;

import org.ftcluster.worker.tensor.Kernel;
import org.ftcluster.worker.tensor.Parallel.Cost;
import org.ftcluster.worker.tensor.Tensor;

/** {@link GatedUnit} on an accelerator. */
final class DeviceGatedUnit {
  private static final String FILE = "gated_unit";

  private DeviceGatedUnit() {}

  static void forward(GatedUnit unit, Tensor y, Tensor gate, Tensor up) {
    int width = DeviceRows.widthAlike(y, gate, up);
    DeviceRows.run(
        Cost.through(unit.title(), y, gate, up),
        y,
        new Kernel(FILE, "gated_unit", y.dtype()),
        y.size(0),
        y,
        y.stride(0),
        gate,
        gate.stride(0),
        up,
        up.stride(0),
        width,
        unit == GatedUnit.GEGLU ? 1 : 0,
        DeviceRows.wide(width, y, gate, up));
  }

  static void backward(GatedUnit unit, Tensor y, Tensor gate, Tensor up, Tensor dy) {
    int width = DeviceRows.widthAlike(y, gate, up, dy);
    DeviceRows.run(
        Cost.through(unit.title() + " backward", y, gate, up, gate, up, dy),
        y,
        new Kernel(FILE, "gated_unit_backward", y.dtype()),
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
        unit == GatedUnit.GEGLU ? 1 : 0,
        DeviceRows.wide(width, y, gate, up, dy));
  }
}
