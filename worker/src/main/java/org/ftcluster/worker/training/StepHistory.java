package org.ftcluster.worker.training;

import java.util.Collection;
import java.util.TreeMap;
import org.ftcluster.protocol.message.RankReport.StepMetrics;

/**
 * What a rank remembers of the steps it took part in, so that it can write the lines of a
 * predecessor whose disk is gone with it. Used by the rank's thread alone.
 */
final class StepHistory {
  /** Some ten megabytes; a checkpoint, which has the lines before it, is due long before. */
  private static final int MOST = 100_000;

  private final TreeMap<Long, StepMetrics> steps = new TreeMap<>();

  void add(StepMetrics metrics) {
    steps.put(metrics.step(), metrics);
    if (steps.size() > MOST) {
      steps.pollFirstEntry();
    }
  }

  /** In order. */
  Collection<StepMetrics> between(long after, long through) {
    return steps.subMap(after, false, Math.max(after, through), true).values();
  }

  /** Whether nothing is missing between two steps. */
  boolean covers(long after, long through) {
    return between(after, through).size() == Math.max(0, through - after);
  }
}
