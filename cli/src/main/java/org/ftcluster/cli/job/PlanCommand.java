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
import org.ftcluster.worker.parallel.MeshCosts;
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
      "the largest micro-batch that fits, and what workers will send each other.",
      "Fails where the job doesn't fit."
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
      long memory,
      int data,
      int pipeline,
      int tensor,
      long bytesSentAStep,
      double bubble) {}

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
            plan.memory(),
            plan.costs().mesh().data(),
            plan.costs().mesh().pipeline(),
            plan.costs().mesh().tensor(),
            Math.round(plan.costs().bytes()),
            plan.costs().bubble()));
    console.text(text(plan));
    if (plan.costs().mesh().size() > 1) {
      console.text(text(plan.costs()));
    }
    return (plan.fits() ? ExitCode.DONE : ExitCode.FAILED).code();
  }

  private static String text(MeshCosts costs) {
    return String.format(
        Locale.ROOT,
        """
        %d workers (data %d x pipeline %d x tensor %d) begin; in a step each sends %.1f MB or less, of which
          gradients        %9.1f MB
          to other slices  %9.1f MB  of activations and their gradients
          to other stages  %9.1f MB
          shared layers    %9.1f MB
        and waits for other stages %.0f%% of the time.""",
        costs.mesh().size(),
        costs.mesh().data(),
        costs.mesh().pipeline(),
        costs.mesh().tensor(),
        costs.bytes() / 1e6,
        costs.gradientBytes() / 1e6,
        costs.sliceBytes() / 1e6,
        costs.stageBytes() / 1e6,
        costs.shareBytes() / 1e6,
        costs.bubble() * 100);
  }

  private static String text(MemoryPlan plan) {
    MemoryEstimate estimate = plan.estimate();
    return String.format(
        Locale.ROOT,
        """
        A worker needs up to %.2f GB, of which
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
