package org.ftcluster.worker.bench;

import org.ftcluster.worker.tensor.Aten;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Parallel;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;
import org.ftcluster.worker.tensor.kernel.RowOps;

/**
 * What this machine can do at best, to be held against what a step does.
 *
 * @param bfloat16Gflops billions of operations a second of large bfloat16 products
 * @param float32Gflops of large float32 products
 * @param gigabytesPerSecond read and written by copies of memory that no cache holds
 */
public record Ceilings(double bfloat16Gflops, double float32Gflops, double gigabytesPerSecond) {
  private static final int SIZE = 2048;
  private static final int REPEATS = 7;

  /** Takes some seconds. To be called on a thread that runs nothing else with libtorch. */
  public static Ceilings measure(int threads) {
    Aten.initialize();
    Parallel.setThreads(threads);
    return new Ceilings(
        product(DType.BFLOAT16) / 1e9, product(DType.FLOAT32) / 1e9, copies() / 1e9);
  }

  private static double product(DType type) {
    try (Scope scope = Scope.persistent()) {
      Tensor a = scope.zeros(type, SIZE, SIZE);
      Tensor b = scope.zeros(type, SIZE, SIZE);
      Tensor out = scope.zeros(type, SIZE, SIZE);
      double flops = 2.0 * SIZE * SIZE * SIZE;
      return flops / fastest(() -> Aten.mm(out, a, b.transpose()));
    }
  }

  private static double copies() {
    try (Scope scope = Scope.persistent()) {
      Tensor from = scope.zeros(DType.FLOAT32, 32 * SIZE, SIZE);
      Tensor to = scope.zeros(DType.FLOAT32, 32 * SIZE, SIZE);
      double bytes = 2.0 * from.memory().byteSize();
      return bytes / fastest(() -> RowOps.copy(to, from));
    }
  }

  /** Seconds of the fastest call: what the machine can do, not what disturbs it. */
  private static double fastest(Runnable call) {
    double best = Double.POSITIVE_INFINITY;
    for (int i = 0; i < REPEATS; i++) {
      long start = System.nanoTime();
      call.run();
      best = Math.min(best, (System.nanoTime() - start) / 1e9);
    }
    return best;
  }
}
