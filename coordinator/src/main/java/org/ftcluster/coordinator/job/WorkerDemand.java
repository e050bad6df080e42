package org.ftcluster.coordinator.job;

/** How many workers a generation of a job waits for at least, and takes at most. */
public record WorkerDemand(int min, int max) {
  public WorkerDemand {
    if (min < 1 || max < min) {
      throw new IllegalArgumentException("%d to %d workers".formatted(min, max));
    }
  }
}
