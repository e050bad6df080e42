package org.ftcluster.worker.model;

/**
 * What lies on a rank's disk instead of in its memory, in bytes.
 *
 * @param weights frozen ones: read in each forward, and in each backward
 * @param optimizer what it remembers: read and written once a step
 * @param batch activations of a micro-batch: written in the forward, read in the backward
 * @param inFlight micro-batches that are there at once
 */
public record DiskUse(long weights, long optimizer, long batch, int inFlight) {
  public static final DiskUse NONE = new DiskUse(0, 0, 0, 0);

  /** Activations. */
  public long activations() {
    return batch * inFlight;
  }

  /** All of it. */
  public long total() {
    return weights + optimizer + activations();
  }

  /** Bytes that a step reads and writes. */
  public long moved(int microBatches) {
    return 2 * ((weights + batch) * microBatches + optimizer);
  }
}
