package org.ftcluster.worker.bench;

import java.util.Arrays;
import java.util.List;

/** What is in the middle. */
final class Medians {
  private Medians() {}

  static double of(List<Double> values) {
    return of(values.stream().mapToDouble(Double::doubleValue).toArray());
  }

  /** The mean of the two in the middle where their number is even. */
  static double of(double[] values) {
    double[] sorted = values.clone();
    Arrays.sort(sorted);
    int middle = sorted.length / 2;
    return sorted.length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  }
}
