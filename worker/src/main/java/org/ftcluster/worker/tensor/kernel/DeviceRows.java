package org.ftcluster.worker.tensor.kernel;

import org.ftcluster.worker.tensor.Accelerator;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Kernel;
import org.ftcluster.worker.tensor.Parallel;
import org.ftcluster.worker.tensor.Profile;
import org.ftcluster.worker.tensor.Tensor;

/** What the kernels of an {@link Accelerator} have in common: matrices, and how one is launched. */
final class DeviceRows {
  /** Elements that a kernel moves at once where it can. */
  private static final int WIDE = 8;

  private static final int WIDE_BYTES = 16;

  private DeviceRows() {}

  /** The width of matrices whose rows are dense floating-point numbers, all of one size. */
  static int width(Tensor... matrices) {
    Tensor first = matrices[0];
    for (Tensor matrix : matrices) {
      boolean floating = matrix.dtype() == DType.FLOAT32 || matrix.dtype() == DType.BFLOAT16;
      if (matrix.rank() != 2
          || matrix.stride(1) != 1
          || !floating
          || matrix.size(1) != first.size(1)
          || !matrix.isBeside(first)) {
        throw new IllegalArgumentException(
            "not dense floating-point rows of one width and place: %s and %s"
                .formatted(first, matrix));
      }
    }
    return Math.toIntExact(first.size(1));
  }

  /** As {@link #width}, of matrices that have as many rows and the same type, too. */
  static int widthAlike(Tensor... matrices) {
    for (Tensor matrix : matrices) {
      if (matrix.size(0) != matrices[0].size(0) || matrix.dtype() != matrices[0].dtype()) {
        throw new IllegalArgumentException(
            "%s and %s differ in rows or type".formatted(matrices[0], matrix));
      }
    }
    return width(matrices);
  }

  /**
   * 1 where rows can be moved {@value #WIDE} elements at once, else 0.
   *
   * @param width in which such pieces must end
   * @param tensors matrices or vectors
   */
  static int wide(int width, Tensor... tensors) {
    boolean wide = width % WIDE == 0;
    for (Tensor tensor : tensors) {
      wide =
          wide
              && tensor.address().address() % WIDE_BYTES == 0
              && (tensor.rank() == 1 || tensor.stride(0) % WIDE == 0);
    }
    return wide ? 1 : 0;
  }

  /** Runs a kernel. */
  static void run(Parallel.Cost cost, Tensor on, Kernel kernel, long blocks, Object... arguments) {
    Accelerator device = on.device();
    long start = Profile.begin();
    device.launch(kernel, blocks, arguments);
    if (Profile.isActive()) {
      device.synchronize();
      Profile.ended(cost.kernel(), start, cost.flops(), cost.bytes());
    }
  }

  /** Blocks that have a thread for each of {@code count}. */
  static long blocksFor(Tensor on, long count) {
    return Math.ceilDiv(count, (long) on.device().blockThreads());
  }
}
