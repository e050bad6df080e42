package org.ftcluster.worker.training;

import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.job.JobSpec.OffloadTarget;
import org.ftcluster.worker.data.EvalBatches;
import org.ftcluster.worker.data.GlobalBatches;
import org.ftcluster.worker.data.MicroBatch;
import org.ftcluster.worker.model.MemoryEstimate;
import org.ftcluster.worker.model.MemoryEstimate.MicroBatchShape;
import org.ftcluster.worker.model.MemorySavings;
import org.ftcluster.worker.model.ModelConfig;
import org.ftcluster.worker.model.ModelConfigReader;
import org.ftcluster.worker.model.ModelLoader;
import org.ftcluster.worker.model.ModelPart;
import org.ftcluster.worker.model.TokenBatch;
import org.ftcluster.worker.model.TrainedShare;
import org.ftcluster.worker.parallel.Mesh;
import org.ftcluster.worker.parallel.MeshCosts;
import org.ftcluster.worker.parallel.MeshParts;
import org.ftcluster.worker.parallel.Schedule;
import org.ftcluster.worker.tensor.DryRun;
import org.jspecify.annotations.Nullable;

/**
 * What a job needs of the memory of the worker that needs the most, and what other settings would
 * need.
 *
 * @param largest the largest micro-batch that the data make
 * @param savings what a worker with that much memory does, as far as the job leaves it open
 * @param estimate with these
 * @param kept where layers keep what their backward needs, and all is in memory that can be
 * @param recomputed where all layers run their forward again
 * @param offloaded where all that can lies on a disk besides, or of a GPU's in its host's memory;
 *     null where nothing can
 * @param memory what there is, in bytes
 * @param largestMicroBatchSize that fits where layers keep what they need, 0 where none does
 * @param largestRecomputedMicroBatchSize that fits where they don't
 * @param costs of the smallest mesh that the job begins with
 */
public record MemoryPlan(
    MicroBatchShape largest,
    MemorySavings savings,
    MemoryEstimate estimate,
    MemoryEstimate kept,
    MemoryEstimate recomputed,
    @Nullable Offloaded offloaded,
    long memory,
    int largestMicroBatchSize,
    int largestRecomputedMicroBatchSize,
    MeshCosts costs) {
  /** What would need the least memory, and how much. */
  public record Offloaded(MemorySavings savings, MemoryEstimate estimate) {}

  /** These say enough of a job with more. */
  private static final long STEPS_LOOKED_AT = 10_000;

  private static final MicroBatchShape SMALLEST = new MicroBatchShape(1, 1, 1);

  static MemoryPlan of(
      JobSpec spec, GlobalBatches batches, @Nullable EvalBatches eval, long memory) {
    ModelConfig config = checked(spec);
    MicroBatchShape largest = largest(batches);
    MicroBatchShape evaluated = eval == null ? SMALLEST : largest(eval);
    MemorySavings savings = savings(spec, largest, evaluated, memory);
    Offloaded offloaded =
        SavingsChoice.most(spec, config.layers(), scratch(spec))
            .map(most -> new Offloaded(most, estimate(spec, most, largest, evaluated)))
            .orElse(null);
    MemorySavings kept = SavingsChoice.least(spec);
    MemorySavings recomputed = kept.recomputing(Integer.MAX_VALUE);
    return new MemoryPlan(
        largest,
        savings,
        estimate(spec, savings, largest, evaluated),
        estimate(spec, kept, largest, evaluated),
        estimate(spec, recomputed, largest, evaluated),
        offloaded,
        memory,
        largestSize(spec, kept, largest, memory),
        largestSize(spec, recomputed, largest, memory),
        costs(spec, batches));
  }

  /** The job's model, which is one that can do what the job asks. */
  private static ModelConfig checked(JobSpec spec) {
    ModelConfig config = ModelConfigReader.read(spec.model().path());
    MeshParts.check(config, spec.parallel());
    config.checkLength(spec.data().maxLength());
    return config;
  }

  /**
   * What a worker does to fit its memory.
   *
   * @throws BadJobException when the job doesn't fit, which says what would make it
   */
  static MemorySavings fitting(
      JobSpec spec, GlobalBatches batches, @Nullable EvalBatches eval, long memory) {
    MicroBatchShape trained = largest(batches);
    MicroBatchShape evaluated = eval == null ? SMALLEST : largest(eval);
    checked(spec);
    MemorySavings savings = savings(spec, trained, evaluated, memory);
    if (estimate(spec, savings, trained, evaluated).total() > memory) {
      of(spec, batches, eval, memory).check();
    }
    return savings;
  }

  /** Bytes that a job needs of a worker that saves what it must to fit into so much. */
  static long need(JobSpec spec, MicroBatchShape trained, MicroBatchShape evaluated, long memory) {
    MemorySavings savings = savings(spec, trained, evaluated, memory);
    return estimate(spec, savings, trained, evaluated).total();
  }

  private static MemorySavings savings(
      JobSpec spec, MicroBatchShape trained, MicroBatchShape evaluated, long memory) {
    return SavingsChoice.of(
        spec,
        ModelConfigReader.read(spec.model().path()).layers(),
        scratch(spec),
        memory,
        choice -> estimate(spec, choice, trained, evaluated).total());
  }

  /** Where what memory has no room for could go; null where that is no disk. */
  private static @Nullable Path scratch(JobSpec spec) {
    JobSpec.Offload offload = spec.offload();
    Path given = offload.path();
    Path folder = given == null ? Path.of(System.getProperty("java.io.tmpdir")) : given;
    boolean asked =
        Stream.of(offload.parameters(), offload.optimizer(), offload.activations())
            .anyMatch(target -> target == OffloadTarget.DISK);
    return asked || MemorySavings.canOffloadTo(folder) ? folder : null;
  }

  /** Of the first step. */
  static MeshCosts costs(JobSpec spec, GlobalBatches batches) {
    return MeshCosts.of(
        spec,
        ModelConfigReader.read(spec.model().path()),
        smallestMesh(spec),
        ModelLoader.trainedParameters(spec.model(), spec.adapter()),
        batches.batch(0));
  }

  /** That a rank goes through in a step. */
  public int microBatches() {
    return Math.ceilDiv(costs.work().microBatches(), costs.mesh().data());
  }

  public boolean fits() {
    return estimate.total() <= memory;
  }

  /**
   * Refuses a job that doesn't fit.
   *
   * @throws BadJobException which says what would make it fit
   */
  void check() {
    if (!fits()) {
      throw new BadJobException(
          "The job needs %s of memory on a worker, and there are %s: %s."
              .formatted(gigabytes(estimate.total()), gigabytes(memory), remedy()));
    }
  }

  /** What would make a job fit that doesn't. */
  public String remedy() {
    if (savings.recomputedLayers() == 0 && recomputed.total() <= memory) {
      return "training.gradient_checkpointing: true would need %s"
          .formatted(gigabytes(recomputed.total()));
    }
    if (largestRecomputedMicroBatchSize > 0) {
      return "training.micro_batch_size: %d with training.gradient_checkpointing: true would fit"
          .formatted(largestRecomputedMicroBatchSize);
    }
    if (offloaded != null && offloaded.estimate().total() <= memory) {
      return "%s with training.gradient_checkpointing: true would need %s"
          .formatted(offloaded.savings().offloadSetting(), gigabytes(offloaded.estimate().total()));
    }
    return "no micro-batch size would fit; a smaller model would, or a smaller data.max_length";
  }

  private static MemoryEstimate estimate(
      JobSpec spec, MemorySavings savings, MicroBatchShape trained, MicroBatchShape evaluated) {
    return stages(spec, savings, trained, evaluated)
        .max(Comparator.comparingLong(MemoryEstimate::total))
        .orElseThrow();
  }

  /** Of a rank of each stage; of its slices the first has as much as any. */
  static Stream<MemoryEstimate> stages(
      JobSpec spec, MemorySavings savings, MicroBatchShape trained, MicroBatchShape evaluated) {
    ModelConfig config = ModelConfigReader.read(spec.model().path());
    Mesh mesh = smallestMesh(spec);
    return IntStream.range(0, mesh.pipeline())
        .mapToObj(
            stage ->
                MemoryEstimate.of(
                    MemoryEstimate.Training.of(spec),
                    savings,
                    trained,
                    evaluated,
                    MeshParts.parts(config, mesh, new Mesh.Place(0, stage, 0), spec),
                    schedule(spec, mesh).inFlight(stage),
                    new TrainedShare(
                        spec.parallel().sharding(),
                        mesh.groupSize(),
                        mesh.pipeline(),
                        mirrored(spec, config, mesh, stage),
                        spec.sharesValues()),
                    spec.checkpoint().everySteps() > 0));
  }

  /** The parts of the rank before: of slices all but the first have one of their own stage. */
  private static List<ModelPart> mirrored(JobSpec spec, ModelConfig config, Mesh mesh, int stage) {
    if (!spec.parallel().mirror() || mesh.groups() > 1) {
      return List.of();
    }
    int before = mesh.tensor() > 1 ? stage : Math.floorMod(stage - 1, mesh.pipeline());
    return MeshParts.parts(config, mesh, new Mesh.Place(0, before, 0), spec);
  }

  /** Of a copy that has as many micro-batches as any. */
  private static Schedule schedule(JobSpec spec, Mesh mesh) {
    JobSpec.Training training = spec.training();
    int all = Math.ceilDiv(training.globalBatchSize(), training.microBatchSize());
    return new Schedule(
        mesh.pipeline(), spec.parallel().interleave(), Math.ceilDiv(all, mesh.data()));
  }

  /** With as few workers as the job begins with. */
  static Mesh smallestMesh(JobSpec spec) {
    JobSpec.Parallel parallel = spec.parallel();
    int replicas =
        parallel.data() > 0
            ? parallel.data()
            : Math.ceilDiv(spec.elastic().minWorkers(), parallel.replicaRanks());
    return Mesh.of(parallel, replicas * parallel.replicaRanks());
  }

  static MicroBatchShape largest(GlobalBatches batches) {
    MicroBatchShape largest = SMALLEST;
    for (long step = 0; step < Math.min(batches.steps(), STEPS_LOOKED_AT); step++) {
      for (MicroBatch micro : batches.batch(step).microBatches()) {
        largest =
            largest.or(
                new MicroBatchShape(
                    micro.sequences(),
                    Math.toIntExact(micro.tokenCount()),
                    Math.toIntExact(micro.targetCount())));
      }
    }
    return largest;
  }

  static MicroBatchShape largest(EvalBatches batches) {
    MicroBatchShape largest = SMALLEST;
    for (int i = 0; i < batches.size(); i++) {
      TokenBatch batch = batches.batch(i);
      largest =
          largest.or(
              new MicroBatchShape(batch.lengths().length, batch.tokenCount(), batch.targetCount()));
    }
    return largest;
  }

  /** By bisection, of micro-batches that grow in the proportions of the one at hand. */
  private static int largestSize(
      JobSpec spec, MemorySavings savings, MicroBatchShape largest, long memory) {
    int low = 0;
    int high = spec.training().globalBatchSize() + 1;
    while (high - low > 1) {
      int size = (low + high) >>> 1;
      MicroBatchShape scaled = scaled(largest, size, spec.training().microBatchSize());
      if (fits(spec, savings, scaled, memory)) {
        low = size;
      } else {
        high = size;
      }
    }
    return low;
  }

  private static boolean fits(
      JobSpec spec, MemorySavings savings, MicroBatchShape shape, long memory) {
    try {
      return estimate(spec, savings, shape, shape).total() <= memory;
    } catch (DryRun.TooLargeException e) {
      return false;
    }
  }

  private static MicroBatchShape scaled(MicroBatchShape shape, long size, long of) {
    return new MicroBatchShape(
        Math.toIntExact(Math.ceilDiv(shape.sequences() * size, of)),
        Math.toIntExact(Math.ceilDiv(shape.tokens() * size, of)),
        Math.toIntExact(Math.ceilDiv(shape.targets() * size, of)));
  }

  private static String gigabytes(long bytes) {
    return String.format(Locale.ROOT, "%.2f GB", bytes / 1e9);
  }
}
