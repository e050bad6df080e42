package org.ftcluster.coordinator.job;

/**
 * How many workers a generation of a job waits for at least, and takes at most.
 *
 * @param unit workers that hold a copy of the model between them: a generation has a multiple of it
 */
public record WorkerDemand(int min, int max, int unit) {
  public WorkerDemand {
    if (min < 1 || max < min || unit < 1 || min % unit != 0) {
      throw new IllegalArgumentException("%d to %d workers by %d".formatted(min, max, unit));
    }
  }

  /** For a job of which every worker holds the whole model. */
  public WorkerDemand(int min, int max) {
    this(min, max, 1);
  }

  /** How many of {@code available} workers a generation takes, where they are enough. */
  public int usable(int available) {
    return Math.min(available, max) / unit * unit;
  }
}
