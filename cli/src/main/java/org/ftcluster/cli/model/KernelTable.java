package org.ftcluster.cli.model;

import java.util.List;
import java.util.Locale;
import org.ftcluster.cli.console.Console;
import org.ftcluster.worker.bench.KernelCheck;
import org.ftcluster.worker.bench.KernelCheck.Comparison;
import org.ftcluster.worker.tensor.Accelerator;
import org.ftcluster.worker.tensor.NativeException;
import org.ftcluster.worker.tensor.cuda.CudaDevice;

/** How the GPU's kernels do, as they are run. */
final class KernelTable {
  private KernelTable() {}

  /**
   * Runs and prints all of them.
   *
   * @return whether all results are right
   */
  static boolean print(Console console) {
    try (Accelerator device = CudaDevice.open(0)) {
      console.text(device.name());
      KernelCheck check = new KernelCheck(device);
      List<Comparison> comparisons = check.compare(one -> print(console, one));
      boolean good = comparisons.stream().allMatch(Comparison::isGood);
      check.measure(one -> print(console, one));
      console.text(good ? "all results are right" : "some results are WRONG");
      return good;
    } catch (NativeException e) {
      throw BenchCommand.noGpu(e);
    }
  }

  private static void print(Console console, Comparison one) {
    console.json(one);
    console.text(
        String.format(
            Locale.ROOT,
            "%-44s %-9s error %.1e of %.1e %s",
            one.name(),
            one.type(),
            one.error(),
            one.bound(),
            one.isGood() ? "" : "WRONG"));
  }

  private static void print(Console console, KernelCheck.Rate one) {
    console.json(one);
    console.text(
        String.format(
            Locale.ROOT,
            "%-44s %-9s %9.1f µs %9.1f GB/s %9.1f GFLOP/s",
            one.name(),
            one.type(),
            one.seconds() * 1e6,
            one.bytes() / 1e9,
            one.flops() / 1e9));
  }
}
