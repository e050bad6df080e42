package org.ftcluster.worker.tensor.kernel;

import java.lang.foreign.MemorySegment;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Kernel;
import org.ftcluster.worker.tensor.Parallel.Cost;
import org.ftcluster.worker.tensor.Tensor;

/** {@link RmsNorm} on an accelerator. */
final class DeviceRmsNorm {
  private static final String FILE = "rms_norm";

  private DeviceRmsNorm() {}

  static void forward(Tensor y, Tensor x, Tensor weight, float offset, double eps) {
    int width = DeviceRows.widthAlike(y, x);
    checkWeight(weight, width);
    DeviceRows.run(
        Cost.through("norm", y, x),
        y,
        new Kernel(FILE, "rms_norm", x.dtype()),
        x.size(0),
        y,
        y.stride(0),
        x,
        x.stride(0),
        weight,
        offset,
        width,
        eps,
        DeviceRows.wide(width, y, x, weight));
  }

  static void backward(Tensor dx, Tensor dy, Tensor x, Tensor weight, float offset, double eps) {
    int width = DeviceRows.widthAlike(dx, dy, x);
    checkWeight(weight, width);
    DeviceRows.run(
        Cost.through("norm backward", dx, dx, dy, x),
        dx,
        new Kernel(FILE, "rms_norm_backward", x.dtype()),
        x.size(0),
        dx,
        dx.stride(0),
        dy,
        dy.stride(0),
        x,
        x.stride(0),
        weight,
        offset,
        width,
        eps,
        DeviceRows.wide(width, dx, dy, x, weight));
  }

  static void weightGradient(Tensor dw, Tensor dy, Tensor x, double eps) {
    int width = DeviceRows.widthAlike(dy, x);
    checkWeight(dw, width);
    MemorySegment inverse = x.device().scratch().allocate(x.size(0) * Float.BYTES);
    DeviceRows.run(
        Cost.through("norm: weight gradient", x),
        x,
        new Kernel(FILE, "rms_norm_inverse", x.dtype()),
        x.size(0),
        inverse,
        x,
        x.stride(0),
        width,
        eps);
    DeviceRows.run(
        Cost.through("norm: weight gradient", dy, x),
        x,
        new Kernel(FILE, "rms_norm_weight_gradient", x.dtype()),
        DeviceRows.blocksFor(dw, width),
        dw,
        dy,
        dy.stride(0),
        x,
        x.stride(0),
        inverse,
        x.size(0),
        width);
  }

  private static void checkWeight(Tensor weight, int width) {
    if (weight.rank() != 1
        || weight.dtype() != DType.FLOAT32
        || weight.size(0) != width
        || !weight.isContiguous()) {
      throw new IllegalArgumentException(
          "a norm over rows of %d has a float32 vector, not %s".formatted(width, weight));
    }
  }
}
