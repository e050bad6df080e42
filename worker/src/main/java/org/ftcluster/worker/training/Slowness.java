package org.ftcluster.worker.training;

/** How fast a rank is, compared with others; written by its thread, read by any. */
final class Slowness {
  private volatile double value;

  /** Time a token, compared with the other replicas; 0 while it isn't known. */
  double get() {
    return value;
  }

  void set(double value) {
    this.value = value;
  }
}
