package org.ftcluster.worker.bench;

import org.ftcluster.worker.tensor.Accelerator;
import org.ftcluster.worker.tensor.Aten;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Parallel;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;
import org.ftcluster.worker.tensor.kernel.RowOps;
import org.jspecify.annotations.Nullable;

/**
 * What this machine can do at best, to be held against what a step does.
 *
 * @param bfloat16Gflops billions of operations a second of large bfloat16 products
 * @param float32Gflops of large float32 products
 * @param gigabytesPerSecond read and written by copies of memory that no cache holds
 */
public record Ceilings(double bfloat16Gflops, double float32Gflops, double gigabytesPerSecond) {
  private static final int SIZE = 2048;
  private static final int DEVICE_SIZE = 8192;
  private static final int REPEATS = 7;

  /** Takes some seconds. To be called on a thread that runs nothing else with libtorch. */
  public static Ceilings measure(int threads) {
    Aten.initialize();
    Parallel.setThreads(threads);
    return measure(null, SIZE);
  }

  /** The same of a GPU, on the thread that opened it. */
  public static Ceilings measure(Accelerator gpu) {
    return measure(gpu, DEVICE_SIZE);
  }

  private static Ceilings measure(@Nullable Accelerator gpu, int size) {
    return new Ceilings(
        product(gpu, DType.BFLOAT16, size) / 1e9,
        product(gpu, DType.FLOAT32, size) / 1e9,
        copies(gpu, size) / 1e9);
  }

  /** Of random numbers: a GPU is faster with zeros. */
  private static double product(@Nullable Accelerator gpu, DType type, int size) {
    try (Scope scope = Scope.persistent(gpu)) {
      Tensor a = scope.empty(type, size, size);
      Tensor b = scope.empty(type, size, size);
      Tensor out = scope.zeros(type, size, size);
      RandomNumbers numbers = new RandomNumbers();
      numbers.fill(a);
      numbers.fill(b);
      double flops = 2.0 * size * size * size;
      return flops / fastest(gpu, () -> Aten.mm(out, a, b.transpose()));
    }
  }

  private static double copies(@Nullable Accelerator gpu, int size) {
    try (Scope scope = Scope.persistent(gpu)) {
      Tensor from = scope.zeros(DType.FLOAT32, 32 * SIZE, size);
      Tensor to = scope.zeros(DType.FLOAT32, 32 * SIZE, size);
      double bytes = 2.0 * from.address().byteSize();
      return bytes / fastest(gpu, () -> RowOps.copy(to, from));
    }
  }

  /** Seconds of the fastest call: what the machine can do, not what disturbs it. */
  private static double fastest(@Nullable Accelerator gpu, Runnable call) {
    double best = Double.POSITIVE_INFINITY;
    for (int i = 0; i < REPEATS; i++) {
      long start = System.nanoTime();
      call.run();
      if (gpu != null) {
        gpu.synchronize();
      }
      best = Math.min(best, (System.nanoTime() - start) / 1e9);
    }
    return best;
  }
}
