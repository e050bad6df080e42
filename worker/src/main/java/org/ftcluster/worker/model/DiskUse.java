package org.ftcluster.worker.model;

/**
 * What lies on a rank's disk instead of in its memory, in bytes.
 *
 * @param weights frozen ones: read in each forward, and in each backward
 * @param optimizer what it remembers: read and written once a step
 */
public record DiskUse(long weights, long optimizer) {
  public static final DiskUse NONE = new DiskUse(0, 0);

  /** All of it. */
  public long total() {
    return weights + optimizer;
  }

  /** Bytes that a step reads and writes. */
  public long moved(int microBatches) {
    return 2 * (weights * microBatches + optimizer);
  }
}
