package org.ftcluster.worker.training;

import java.util.Comparator;
import java.util.Locale;
import java.util.stream.IntStream;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.job.JobSpec.Sharding;
import org.ftcluster.worker.data.EvalBatches;
import org.ftcluster.worker.data.GlobalBatch;
import org.ftcluster.worker.data.GlobalBatches;
import org.ftcluster.worker.data.MicroBatch;
import org.ftcluster.worker.model.MemoryEstimate;
import org.ftcluster.worker.model.MemoryEstimate.MicroBatchShape;
import org.ftcluster.worker.model.ModelConfig;
import org.ftcluster.worker.model.ModelConfigReader;
import org.ftcluster.worker.model.ModelLoader;
import org.ftcluster.worker.model.TokenBatch;
import org.ftcluster.worker.model.TrainedShare;
import org.ftcluster.worker.parallel.Mesh;
import org.ftcluster.worker.parallel.MeshCosts;
import org.ftcluster.worker.parallel.MeshParts;
import org.ftcluster.worker.parallel.Schedule;
import org.jspecify.annotations.Nullable;

/**
 * What a job needs of the memory of the worker that needs the most, and what other settings would
 * need.
 *
 * @param largest the largest micro-batch that the data make
 * @param kept where layers keep what their backward needs
 * @param recomputed where they run their forward again
 * @param gradientCheckpointing which of the two the job asks for
 * @param memory what there is, in bytes
 * @param largestMicroBatchSize that fits where layers keep what they need, 0 where none does
 * @param largestRecomputedMicroBatchSize that fits where they don't
 * @param costs of the smallest mesh that the job begins with
 */
public record MemoryPlan(
    MicroBatchShape largest,
    MemoryEstimate kept,
    MemoryEstimate recomputed,
    boolean gradientCheckpointing,
    long memory,
    int largestMicroBatchSize,
    int largestRecomputedMicroBatchSize,
    MeshCosts costs) {
  /** These say enough of a job with more. */
  private static final long STEPS_LOOKED_AT = 10_000;

  private static final MicroBatchShape SMALLEST = new MicroBatchShape(1, 1, 1);

  static MemoryPlan of(
      JobSpec spec, GlobalBatches batches, @Nullable EvalBatches eval, long memory) {
    MeshParts.check(ModelConfigReader.read(spec.model().path()), spec.parallel());
    MicroBatchShape largest = largest(batches);
    MicroBatchShape evaluated = eval == null ? SMALLEST : largest(eval);
    return new MemoryPlan(
        largest,
        estimate(spec, false, largest, evaluated),
        estimate(spec, true, largest, evaluated),
        spec.training().gradientCheckpointing(),
        memory,
        largestSize(spec, false, largest, memory),
        largestSize(spec, true, largest, memory),
        costs(spec, batches));
  }

  /**
   * Refuses a job that doesn't fit, as {@link #check} does; takes less time where it fits.
   *
   * @throws BadJobException which says what would make it fit
   */
  static void check(JobSpec spec, GlobalBatches batches, @Nullable EvalBatches eval, long memory) {
    MeshParts.check(ModelConfigReader.read(spec.model().path()), spec.parallel());
    if (need(spec, largest(batches), eval == null ? SMALLEST : largest(eval)) > memory) {
      of(spec, batches, eval, memory).check();
    }
  }

  /** Bytes that a job needs of a worker. */
  static long need(JobSpec spec, MicroBatchShape trained, MicroBatchShape evaluated) {
    return estimate(spec, spec.training().gradientCheckpointing(), trained, evaluated).total();
  }

  /** Of the first step. */
  static MeshCosts costs(JobSpec spec, GlobalBatches batches) {
    Mesh mesh = smallestMesh(spec);
    GlobalBatch first = batches.batch(0);
    int microBatches = first.microBatches().size();
    return MeshCosts.of(
        spec,
        ModelConfigReader.read(spec.model().path()),
        mesh,
        ModelLoader.trainedParameters(spec.model(), spec.adapter()),
        new MeshCosts.Load(
            Math.ceilDiv(microBatches, mesh.data()),
            (double) first.tokens() / microBatches,
            microBatches));
  }

  /** As the job is. */
  public MemoryEstimate estimate() {
    return gradientCheckpointing ? recomputed : kept;
  }

  public boolean fits() {
    return estimate().total() <= memory;
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
              .formatted(gigabytes(estimate().total()), gigabytes(memory), remedy()));
    }
  }

  /** What would make a job fit that doesn't. */
  public String remedy() {
    if (!gradientCheckpointing && recomputed.total() <= memory) {
      return "training.gradient_checkpointing: true would need %s"
          .formatted(gigabytes(recomputed.total()));
    }
    if (largestRecomputedMicroBatchSize > 0) {
      return "training.micro_batch_size: %d with training.gradient_checkpointing: true would fit"
          .formatted(largestRecomputedMicroBatchSize);
    }
    return "no micro-batch size would fit; a smaller model would, or a smaller data.max_length";
  }

  private static MemoryEstimate estimate(
      JobSpec spec, boolean recompute, MicroBatchShape trained, MicroBatchShape evaluated) {
    if (spec.parallel().replicaRanks() == 1 && spec.parallel().sharding() == Sharding.NONE) {
      return MemoryEstimate.of(
          spec.model(), spec.adapter(), spec.training().reduction(), recompute, trained, evaluated);
    }
    // The first slice has as much as any.
    ModelConfig config = ModelConfigReader.read(spec.model().path());
    Mesh mesh = smallestMesh(spec);
    return IntStream.range(0, mesh.pipeline())
        .mapToObj(
            stage ->
                MemoryEstimate.of(
                    spec.model(),
                    spec.adapter(),
                    spec.training().reduction(),
                    recompute,
                    trained,
                    evaluated,
                    MeshParts.parts(config, mesh, new Mesh.Place(0, stage, 0), spec.parallel()),
                    schedule(spec, mesh).inFlight(stage),
                    new TrainedShare(
                        spec.parallel().sharding(), mesh.size(), spec.parallel().mirror())))
        .max(Comparator.comparingLong(MemoryEstimate::total))
        .orElseThrow();
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
      JobSpec spec, boolean recompute, MicroBatchShape largest, long memory) {
    int low = 0;
    int high = spec.training().globalBatchSize() + 1;
    while (high - low > 1) {
      int size = (low + high) >>> 1;
      MicroBatchShape scaled = scaled(largest, size, spec.training().microBatchSize());
      if (estimate(spec, recompute, scaled, scaled).total() <= memory) {
        low = size;
      } else {
        high = size;
      }
    }
    return low;
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
