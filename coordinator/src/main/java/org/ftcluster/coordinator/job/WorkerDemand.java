package org.ftcluster.coordinator.job;

import org.ftcluster.protocol.job.JobSpec;

/**
 * How many workers a generation of a job waits for at least, and takes at most.
 *
 * @param unit workers that hold a copy of the model between them: a generation has a multiple of it
 * @param gpu whether none but workers with a GPU are of use
 */
public record WorkerDemand(int min, int max, int unit, boolean gpu) {
  public WorkerDemand {
    if (min < 1 || max < min || unit < 1 || min % unit != 0) {
      throw new IllegalArgumentException("%d to %d workers by %d".formatted(min, max, unit));
    }
  }

  /** What a job's file asks for. */
  public static WorkerDemand of(JobSpec spec) {
    JobSpec.Parallel parallel = spec.parallel();
    boolean gpu = spec.resources().device() == JobSpec.Device.CUDA;
    int unit = parallel.replicaRanks();
    if (parallel.data() == 0) {
      // With more replicas than micro-batches some would have nothing to do.
      JobSpec.Training training = spec.training();
      int useful = Math.ceilDiv(training.globalBatchSize(), training.microBatchSize()) * unit;
      int min = Math.ceilDiv(spec.elastic().minWorkers(), unit) * unit;
      int max = Math.min(spec.elastic().maxWorkers(), useful) / unit * unit;
      return new WorkerDemand(min, Math.max(min, max), unit, gpu);
    }
    int ranks = parallel.data() * unit;
    return new WorkerDemand(ranks, ranks, unit, gpu);
  }

  /** For a job that any worker is of use to. */
  public WorkerDemand(int min, int max, int unit) {
    this(min, max, unit, false);
  }

  /** For one of which every worker holds the whole model, besides. */
  public WorkerDemand(int min, int max) {
    this(min, max, 1);
  }

  /** The same with at most {@code workers}. */
  WorkerDemand atMost(int workers) {
    return new WorkerDemand(min, workers, unit, gpu);
  }

  /**
   * Whether a worker is of use.
   *
   * @param hasGpu whether it has a GPU
   */
  public boolean accepts(boolean hasGpu) {
    return hasGpu || !gpu;
  }

  /** How many of {@code available} workers a generation takes, where they are enough. */
  public int usable(int available) {
    return Math.min(available, max) / unit * unit;
  }
}
