package org.ftcluster.worker.optimizer;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import org.ftcluster.worker.collective.Communicator.ElementType;

/**
 * Neighbouring parameters whose gradients go together to the rank of a stage that sums them.
 *
 * @param parameters at least one
 * @param owner that rank
 */
record Bucket(StageSums.Run run, Shard parameters, int owner) {
  /**
   * All of a stage's, the same on all of its ranks: from the last parameter on, as a backward has
   * their gradients.
   *
   * @param most parameters of one
   */
  static List<Bucket> of(StageSums sums, long most) {
    return sums.runs().reversed().stream().flatMap(run -> of(run, most).stream()).toList();
  }

  /** Those of one run. */
  static List<Bucket> of(StageSums.Run run, long most) {
    List<Bucket> buckets = new ArrayList<>();
    for (int owner = run.division().ranks() - 1; owner >= 0; owner--) {
      Shard part = run.of(owner);
      for (long to = part.to(); to > part.from(); to -= most) {
        long from = Math.max(part.from(), to - most);
        buckets.add(new Bucket(run, new Shard(from, to), owner));
      }
    }
    return buckets;
  }

  /** Of the owner's sums these. */
  MemorySegment sums(ElementType type) {
    return run.sums(parameters, type);
  }
}
