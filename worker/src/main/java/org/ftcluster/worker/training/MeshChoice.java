package org.ftcluster.worker.training;

import java.util.Locale;
import java.util.Optional;
import java.util.function.Predicate;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.worker.data.EvalBatches;
import org.ftcluster.worker.data.GlobalBatch;
import org.ftcluster.worker.data.GlobalBatches;
import org.ftcluster.worker.model.MemoryEstimate;
import org.ftcluster.worker.model.MemoryEstimate.MicroBatchShape;
import org.ftcluster.worker.model.ModelConfig;
import org.ftcluster.worker.model.ModelConfigReader;
import org.ftcluster.worker.model.ModelLoader;
import org.ftcluster.worker.parallel.Machine;
import org.ftcluster.worker.parallel.MeshParts;
import org.ftcluster.worker.parallel.MeshSearch;
import org.ftcluster.worker.parallel.StepTime.Layout;
import org.ftcluster.worker.parallel.Workload;
import org.jspecify.annotations.Nullable;

/** Chooses how a job is laid out on workers, by their memory and by what a step would take. */
record MeshChoice(
    JobSpec spec,
    ModelConfig config,
    Workload work,
    MicroBatchShape trained,
    MicroBatchShape evaluated,
    long memory) {
  /** So many workers are looked at where there aren't enough. */
  private static final int MOST_WORKERS = 64;

  static MeshChoice of(
      JobSpec spec, GlobalBatches batches, @Nullable EvalBatches eval, long memory) {
    ModelConfig config = ModelConfigReader.read(spec.model().path());
    GlobalBatch first = batches.batch(0);
    int microBatches = first.microBatches().size();
    return new MeshChoice(
        spec,
        config,
        Workload.of(
            spec,
            config,
            ModelLoader.trainedParameters(spec.model(), spec.adapter()),
            microBatches,
            (double) first.tokens() / microBatches,
            (double) first.targetTokens() / microBatches),
        MemoryPlan.largest(batches),
        eval == null ? new MicroBatchShape(1, 1, 1) : MemoryPlan.largest(eval),
        memory);
  }

  /**
   * The fastest layout that fits.
   *
   * @throws BadJobException when none does: which would, with more workers
   */
  JobSpec.Parallel fastest(int workers, Machine machine) {
    Optional<Layout> found = fastestLayout(workers, machine, false);
    if (found.isEmpty()) {
      found = fastestLayout(workers, machine, true);
    }
    if (found.isPresent()) {
      return parallel(found.get());
    }
    String more = "a smaller training.micro_batch_size may";
    for (int n = workers + 1; n <= MOST_WORKERS; n++) {
      Optional<Layout> larger = fastestLayout(n, machine, true);
      if (larger.isPresent()) {
        more = "%s on %d workers would".formatted(text(larger.get()), larger.get().mesh().size());
        break;
      }
    }
    throw new BadJobException(
        "parallel: no layout on %d worker%s fits into %s of memory each; %s."
            .formatted(workers, workers == 1 ? "" : "s", gigabytes(memory), more));
  }

  /** As it stands in a job file; nothing where none fits. */
  Optional<String> nearest(int workers) {
    JobSpec.Parallel asked = spec.parallel();
    Layout wanted = new Layout(MemoryPlan.smallestMesh(spec), asked.interleave(), asked.sharding());
    if (memory <= MemoryEstimate.Training.of(spec).processBytes()) {
      return Optional.empty(); // whatever the layout
    }
    return MeshSearch.nearest(spec, config, work, wanted, workers, fits(true))
        .map(layout -> "%s on %d workers".formatted(text(layout), layout.mesh().size()));
  }

  private Optional<Layout> fastestLayout(int workers, Machine machine, boolean saving) {
    return MeshSearch.fastest(spec, config, work, machine, workers, fits(saving));
  }

  /**
   * @param saving whether workers may save memory at the cost of time, beyond what the job asks for
   */
  private Predicate<Layout> fits(boolean saving) {
    return layout -> {
      JobSpec laidOut = with(layout);
      MeshParts.check(config, laidOut.parallel());
      return MemoryPlan.need(laidOut, trained, evaluated, saving ? memory : Long.MAX_VALUE)
          <= memory;
    };
  }

  /** The job in just that layout. */
  private JobSpec with(Layout layout) {
    JobSpec.Parallel open = parallel(layout);
    return spec.withParallel(
        new JobSpec.Parallel(
            layout.mesh().data(),
            open.tensor(),
            open.pipeline(),
            open.interleave(),
            open.sharding(),
            open.shardingGroup(),
            open.mirror()));
  }

  private JobSpec.Parallel parallel(Layout layout) {
    return new JobSpec.Parallel(
        spec.parallel().data(),
        layout.mesh().tensor(),
        layout.mesh().pipeline(),
        layout.interleave(),
        layout.sharding(),
        layout.mesh().groups() > 1 ? layout.mesh().groupSize() : spec.parallel().shardingGroup(),
        spec.parallel().mirror());
  }

  private static String text(Layout layout) {
    String group =
        layout.mesh().groups() == 1
            ? ""
            : ", sharding_group: %d".formatted(layout.mesh().groupSize());
    return "parallel: {tensor: %d, pipeline: %d, sharding: %s%s}"
        .formatted(
            layout.mesh().tensor(),
            layout.mesh().pipeline(),
            layout.sharding().name().toLowerCase(Locale.ROOT),
            group);
  }

  private static String gigabytes(long bytes) {
    return String.format(Locale.ROOT, "%.2f GB", bytes / 1e9);
  }
}
