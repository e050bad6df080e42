package org.ftcluster.cli.job;

import java.util.Locale;
import java.util.concurrent.Callable;
import org.ftcluster.cli.console.CommandException;
import org.ftcluster.cli.console.CommonOptions;
import org.ftcluster.cli.console.Console;
import org.ftcluster.cli.console.ExitCode;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.job.JobSpecWriter;
import org.ftcluster.worker.model.MemoryEstimate;
import org.ftcluster.worker.training.MachineMemory;
import org.ftcluster.worker.training.MemoryPlan;
import org.ftcluster.worker.training.TrainingTaskFactory;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code ftcluster plan JOB.yaml}. */
@Command(
    name = "plan",
    description = {
      "Says how much memory a job will take on each worker, without running it,",
      "and the largest micro-batch that fits. Fails where the job doesn't fit."
    },
    footer = {"", "Example:", "  ftcluster plan job.yaml --memory 16"})
public final class PlanCommand implements Callable<Integer> {
  @Mixin private CommonOptions common = new CommonOptions();
  @Mixin private JobFileArguments jobFile = new JobFileArguments();

  @Option(
      names = "--memory",
      paramLabel = "GB",
      description = "Memory of a worker, in GB (default: this machine's).")
  private double memory = MachineMemory.total() / 1e9;

  /** What it prints, in bytes. */
  record Line(
      boolean fits,
      long total,
      long weights,
      long trained,
      long activations,
      long process,
      long totalWithoutCheckpointing,
      long totalWithCheckpointing,
      int microBatchSizeWithoutCheckpointing,
      int microBatchSizeWithCheckpointing,
      long memory) {}

  @Override
  public Integer call() {
    Console console = common.console();
    if (!(memory > 0)) {
      throw CommandException.badRequest(
          "--memory is %s; give gigabytes, such as 16".formatted(memory));
    }
    JobSpec job = jobFile.read();
    MemoryPlan plan =
        new TrainingTaskFactory().plan(JobSpecWriter.toYaml(job), (long) (memory * 1e9));
    MemoryEstimate estimate = plan.estimate();
    console.json(
        new Line(
            plan.fits(),
            estimate.total(),
            estimate.weights(),
            estimate.trained(),
            estimate.activations(),
            estimate.process(),
            plan.kept().total(),
            plan.recomputed().total(),
            plan.largestMicroBatchSize(),
            plan.largestRecomputedMicroBatchSize(),
            plan.memory()));
    console.text(text(plan));
    return (plan.fits() ? ExitCode.DONE : ExitCode.FAILED).code();
  }

  private static String text(MemoryPlan plan) {
    MemoryEstimate estimate = plan.estimate();
    return String.format(
        Locale.ROOT,
        """
        Each worker needs %.2f GB, of which
          frozen weights   %7.2f GB
          what is trained  %7.2f GB  values, gradients, optimizer
          activations      %7.2f GB  of micro-batches of up to %,d tokens
          process          %7.2f GB  JVM and libtorch
        Without gradient checkpointing it is %.2f GB, and micro_batch_size may be up to %d in %.1f GB;
        with it %.2f GB, and up to %d.
        %s""",
        estimate.total() / 1e9,
        estimate.weights() / 1e9,
        estimate.trained() / 1e9,
        estimate.activations() / 1e9,
        plan.largest().tokens(),
        estimate.process() / 1e9,
        plan.kept().total() / 1e9,
        plan.largestMicroBatchSize(),
        plan.memory() / 1e9,
        plan.recomputed().total() / 1e9,
        plan.largestRecomputedMicroBatchSize(),
        plan.fits() ? "It fits." : "It does not fit: " + plan.remedy() + ".");
  }
}
