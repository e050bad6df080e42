package org.ftcluster.cli.model;

import java.util.Locale;
import org.ftcluster.protocol.job.JobSpec.ComputeType;
import org.ftcluster.worker.bench.Ceilings;
import org.ftcluster.worker.bench.StepBenchmark;
import org.ftcluster.worker.tensor.Profile;

/** Where the time of a step goes, as text. */
final class ProfileTable {
  /** Less of a step has no line of its own: batches of many sizes have hundreds of products. */
  private static final double LEAST_SHARE = 0.002;

  private ProfileTable() {}

  static String text(Ceilings ceilings) {
    return String.format(
        Locale.ROOT,
        "products in bfloat16: %,.0f GFLOP/s%nproducts in float32: %,.0f GFLOP/s%nmemory: %.1f GB/s",
        ceilings.bfloat16Gflops(),
        ceilings.float32Gflops(),
        ceilings.gigabytesPerSecond());
  }

  /** Of each operation, its share of the step and of what the machine can do. */
  static String text(StepBenchmark.StepProfile profile, Ceilings ceilings, ComputeType dtype) {
    StringBuilder text =
        new StringBuilder(
            String.format(
                Locale.ROOT,
                "%n%-34s %7s %9s %6s %10s %8s %8s",
                "a step",
                "calls",
                "ms",
                "share",
                "GFLOP/s",
                "GB/s",
                "ceiling"));
    double products =
        switch (dtype) {
          case BFLOAT16 -> ceilings.bfloat16Gflops();
          case FLOAT32 -> ceilings.float32Gflops();
        };
    double within = 0;
    double ofOthers = 0;
    int others = 0;
    for (Profile.Sum sum : profile.operations()) {
      within += sum.seconds();
      if (sum.seconds() < LEAST_SHARE * profile.stepSeconds()) {
        ofOthers += sum.seconds();
        others++;
        continue;
      }
      double ceiling =
          sum.flops() > 0
              ? sum.flops() / sum.seconds() / 1e9 / products
              : sum.bytes() / sum.seconds() / 1e9 / ceilings.gigabytesPerSecond();
      text.append(line(sum.operation(), calls(sum), sum.seconds(), profile))
          .append(
              String.format(
                  Locale.ROOT,
                  " %10s %8s %7.0f%%",
                  rate(sum.flops(), sum.seconds()),
                  rate(sum.bytes(), sum.seconds()),
                  100 * ceiling));
    }
    if (others > 0) {
      text.append(line("less than 0.2%%, %d of them".formatted(others), "", ofOthers, profile));
    }
    text.append(line("between them", "", profile.stepSeconds() - within, profile));
    return text + "\n" + text(ceilings);
  }

  private static String line(
      String what, String calls, double seconds, StepBenchmark.StepProfile profile) {
    return String.format(
        Locale.ROOT,
        "%n%-34s %7s %9.2f %5.1f%%",
        what,
        calls,
        1000 * seconds,
        100 * seconds / profile.stepSeconds());
  }

  /** Whole where batches are of one size. */
  private static String calls(Profile.Sum sum) {
    String format = sum.calls() == Math.rint(sum.calls()) ? "%.0f" : "%.1f";
    return String.format(Locale.ROOT, format, sum.calls());
  }

  private static String rate(double amount, double seconds) {
    return amount == 0 ? "" : String.format(Locale.ROOT, "%.1f", amount / seconds / 1e9);
  }
}
