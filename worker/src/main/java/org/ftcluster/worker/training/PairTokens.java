package org.ftcluster.worker.training;

import java.util.ArrayList;
import java.util.List;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.worker.model.PairLoss;
import org.ftcluster.worker.model.TokenBatch;
import org.ftcluster.worker.parallel.Replica;

/**
 * Makes batches of pairs out of their tokens, together with what the base makes of them where the
 * loss needs that. The base is asked anew whenever they come up: to keep its answers would take
 * less time, but which rank knows them would then decide the last bits of what is learned.
 */
record PairTokens(Replica replica, PairLoss loss) {
  private static final double[] NONE = {};

  PairTokens(Replica replica, JobSpec.Preference preference) {
    this(replica, new PairLoss(preference));
  }

  /**
   * All ranks call it together.
   *
   * @param most batches that any copy of the model has
   * @param stopCheck called between batches; throws to end it
   */
  List<TokenBatch> of(List<TokenBatch> batches, int most, Runnable stopCheck) {
    List<double[]> base =
        loss.needsReference()
            ? replica.losses(batches, most, false, stopCheck)
            : batches.stream().map(batch -> NONE).toList();
    List<TokenBatch> pairs = new ArrayList<>();
    for (int i = 0; i < batches.size(); i++) {
      pairs.add(batches.get(i).withPairs(new TokenBatch.Pairs(loss, base.get(i))));
    }
    return pairs;
  }
}
