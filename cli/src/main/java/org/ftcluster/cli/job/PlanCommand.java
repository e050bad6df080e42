package org.ftcluster.cli.job;

import java.util.Locale;
import java.util.concurrent.Callable;
import org.ftcluster.cli.console.CommandException;
import org.ftcluster.cli.console.CommonOptions;
import org.ftcluster.cli.console.Console;
import org.ftcluster.cli.console.ExitCode;
import org.ftcluster.cli.console.MemoryOption;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.job.JobSpecWriter;
import org.ftcluster.worker.model.DiskUse;
import org.ftcluster.worker.model.MemoryEstimate;
import org.ftcluster.worker.model.Tier;
import org.ftcluster.worker.parallel.Machine;
import org.ftcluster.worker.parallel.MeshCosts;
import org.ftcluster.worker.training.MemoryPlan;
import org.ftcluster.worker.training.TrainingTaskFactory;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code ftcluster plan JOB.yaml}. */
@Command(
    name = "plan",
    description = {
      "Says how much memory a job will take on each worker, without running it,",
      "the largest micro-batch that fits, and what workers will send each other. With",
      "resources.device cuda the memory is that of a worker's GPU.",
      "Fails where the job doesn't fit."
    },
    footer = {"", "Example:", "  ftcluster plan job.yaml --memory 16"})
public final class PlanCommand implements Callable<Integer> {
  @Mixin private CommonOptions common = new CommonOptions();
  @Mixin private JobFileArguments jobFile = new JobFileArguments();
  @Mixin private MemoryOption memory = new MemoryOption();
  @Mixin private MachineOptions machines = new MachineOptions();

  @Option(
      names = "--workers",
      paramLabel = "N",
      description = "Workers for `parallel: auto` (default: elastic.max_workers).")
  private int workers;

  @Option(
      names = "--disk",
      paramLabel = "GB/S",
      description = "What a worker's disk reads and writes (default: 1).")
  private double disk = 1;

  /** What it prints, in bytes. */
  record Line(
      boolean fits,
      long total,
      long weights,
      long trained,
      long activations,
      long spare,
      long process,
      long totalWithoutCheckpointing,
      long totalWithCheckpointing,
      @Nullable Long totalOffloaded,
      int recomputedLayers,
      boolean offloaded,
      boolean optimizerOffloaded,
      int offloadedLayers,
      long diskBytes,
      long diskBytesPerStep,
      int microBatchSizeWithoutCheckpointing,
      int microBatchSizeWithCheckpointing,
      long memory,
      int data,
      int pipeline,
      int tensor,
      int interleave,
      String sharding,
      int shardingGroups,
      long bytesSentPerStep,
      double bubble,
      double stepSeconds) {}

  @Override
  public Integer call() {
    Console console = common.console();
    if (!(disk > 0)) {
      throw CommandException.badRequest("--disk is above 0");
    }
    JobSpec asked = jobFile.read();
    long bytes = memory.bytes(asked.resources().device());
    int most = workers > 0 ? workers : asked.elastic().maxWorkers();
    Machine machine = machines.machine(most);
    JobSpec job = OpenMesh.chosen(asked, most, () -> bytes, machine, console);
    TrainingTaskFactory factory = new TrainingTaskFactory();
    MemoryPlan plan = factory.plan(JobSpecWriter.toYaml(job), bytes);
    MemoryEstimate estimate = plan.estimate();
    console.json(
        new Line(
            plan.fits(),
            estimate.total(),
            estimate.weights(),
            estimate.trained(),
            estimate.activations(),
            estimate.spare(),
            estimate.process(),
            plan.kept().total(),
            plan.recomputed().total(),
            plan.offloaded() == null ? null : plan.offloaded().estimate().total(),
            plan.savings().recomputedLayers(),
            plan.savings().parameters() instanceof Tier.Disk,
            plan.savings().optimizer() instanceof Tier.Disk,
            plan.savings().offloadedLayers(),
            estimate.disk().total(),
            estimate.disk().moved(plan.microBatches()),
            plan.largestMicroBatchSize(),
            plan.largestRecomputedMicroBatchSize(),
            plan.memory(),
            plan.costs().mesh().data(),
            plan.costs().mesh().pipeline(),
            plan.costs().mesh().tensor(),
            job.parallel().interleave(),
            job.parallel().sharding().name().toLowerCase(Locale.ROOT),
            plan.costs().mesh().groups(),
            Math.round(plan.costs().bytes()),
            plan.costs().bubble(),
            plan.costs().stepTime(machine).seconds()));
    console.text(text(plan, job.resources().device()));
    if (estimate.disk().total() > 0) {
      console.text(onDisk(plan));
    }
    if (!plan.fits()) {
      factory
          .nearestMesh(job, most, bytes)
          .ifPresent(mesh -> console.text("The nearest layout that fits: %s.".formatted(mesh)));
    }
    if (plan.costs().mesh().size() > 1) {
      console.text(text(plan.costs()));
    }
    return (plan.fits() ? ExitCode.DONE : ExitCode.FAILED).code();
  }

  private String text(MeshCosts costs) {
    return String.format(
        Locale.ROOT,
        """
        %d workers (data %d x pipeline %d x tensor %d%s) begin; in a step each sends %.1f MB or less, of which
          gradients        %9.1f MB
          to other slices  %9.1f MB  of activations and their gradients
          to other stages  %9.1f MB
          shared layers    %9.1f MB
        and waits for other stages %.0f%% of the time. With %.0f GFLOP/s each and %.1f GB/s between them
        it takes about %.2f s.""",
        costs.mesh().size(),
        costs.mesh().data(),
        costs.mesh().pipeline(),
        costs.mesh().tensor(),
        costs.mesh().groups() == 1
            ? ""
            : ", sharing in groups of %d".formatted(costs.mesh().groupSize()),
        costs.bytes() / 1e6,
        costs.gradientBytes() / 1e6,
        costs.sliceBytes() / 1e6,
        costs.stageBytes() / 1e6,
        costs.shareBytes() / 1e6,
        costs.bubble() * 100,
        machines.gflops(),
        machines.link(),
        costs.stepTime(machines.machine(costs.mesh().size())).seconds());
  }

  private static String text(MemoryPlan plan, JobSpec.Device device) {
    MemoryEstimate estimate = plan.estimate();
    return String.format(
        Locale.ROOT,
        """
        %s needs up to %.2f GB, of which
          frozen weights   %7.2f GB
          what is trained  %7.2f GB  values, gradients, optimizer
          activations      %7.2f GB  of micro-batches of up to %,d tokens
        %s
        There %s.
        Without gradient checkpointing it is %.2f GB, and micro_batch_size may be up to %d in %.1f GB;
        with it %.2f GB, and up to %d%s.
        %s""",
        device == JobSpec.Device.CPU ? "A worker" : "A worker's GPU",
        estimate.total() / 1e9,
        estimate.weights() / 1e9,
        estimate.trained() / 1e9,
        estimate.activations() / 1e9,
        plan.largest().tokens(),
        besides(estimate, device),
        plan.savings().text(),
        plan.kept().total() / 1e9,
        plan.largestMicroBatchSize(),
        plan.memory() / 1e9,
        plan.recomputed().total() / 1e9,
        plan.largestRecomputedMicroBatchSize(),
        offloaded(plan.offloaded(), device),
        plan.fits() ? "It fits." : "It does not fit: " + plan.remedy() + ".");
  }

  private static String besides(MemoryEstimate estimate, JobSpec.Device device) {
    double process = estimate.process() / 1e9;
    return switch (device) {
      case CPU ->
          String.format(
              Locale.ROOT,
              "  for a while      %7.2f GB  when a checkpoint is written, or shares are dealt anew%n"
                  + "  process          %7.2f GB  JVM and libtorch",
              estimate.spare() / 1e9,
              process);
      case CUDA ->
          String.format(
              Locale.ROOT,
              "  process          %7.2f GB  room for operations, kernels, cuBLAS, NCCL",
              process);
    };
  }

  private static String offloaded(MemoryPlan.@Nullable Offloaded offloaded, JobSpec.Device device) {
    return offloaded == null
        ? ""
        : String.format(
            Locale.ROOT,
            "; with all that can be %s besides, %.2f GB",
            switch (device) {
              case CPU -> "on a disk";
              case CUDA -> "in the host's memory";
            },
            offloaded.estimate().total() / 1e9);
  }

  private String onDisk(MemoryPlan plan) {
    DiskUse use = plan.estimate().disk();
    double moved = use.moved(plan.microBatches());
    return String.format(
        Locale.ROOT,
        """
        On its disk are %.2f GB: %.2f of frozen weights, %.2f of the optimizer's moments, %.2f of activations. A step
        reads and writes %.2f GB, which takes a disk of %.1f GB/s %.2f s; most of that it does while layers compute.""",
        use.total() / 1e9,
        use.weights() / 1e9,
        use.optimizer() / 1e9,
        use.activations() / 1e9,
        moved / 1e9,
        disk,
        moved / 1e9 / disk);
  }
}
