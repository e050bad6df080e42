package org.ftcluster.worker.training;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.worker.data.MicroBatch;
import org.ftcluster.worker.model.PairLoss;
import org.ftcluster.worker.model.TokenBatch;
import org.ftcluster.worker.parallel.Replica;
import org.jspecify.annotations.Nullable;

/**
 * The tokens of pairs, together with what the base makes of them where that is needed. It is asked
 * anew whenever they come up: to keep its answers would take less time, but which rank knows them
 * would then decide the last bits of what is learned.
 */
final class PairTokens {
  private static final double[] NONE = {};

  private final Replica replica;
  private final PairLoss loss;

  PairTokens(Replica replica, JobSpec.Preference preference) {
    this.replica = replica;
    this.loss = new PairLoss(preference);
  }

  /**
   * How a step gets the tokens of its micro-batches.
   *
   * @param preference null where there are no pairs
   * @param share this rank's; all ranks call it together
   * @param most micro-batches that any copy of the model has
   * @param before each of them; throws to end it
   * @param after each of them
   */
  static Function<MicroBatch, TokenBatch> ofStep(
      Replica replica,
      JobSpec.@Nullable Preference preference,
      List<MicroBatch> share,
      int most,
      Runnable before,
      Runnable after) {
    if (preference == null) {
      return MicroBatch::tokens;
    }
    PairTokens tokens = new PairTokens(replica, preference);
    Map<Integer, TokenBatch> batches = new HashMap<>();
    for (int i = 0; i < most; i++) {
      before.run();
      if (i < share.size()) {
        batches.put(share.get(i).index(), tokens.of(share.get(i).tokens()));
      } else {
        tokens.accompany();
      }
      after.run();
    }
    return micro -> batches.get(micro.index());
  }

  TokenBatch of(TokenBatch batch) {
    return batch.withPairs(
        new TokenBatch.Pairs(loss, loss.needsReference() ? replica.losses(batch, false) : NONE));
  }

  /** In the place of {@link #of} where others have a batch and this copy has none. */
  void accompany() {
    if (loss.needsReference()) {
      replica.accompany();
    }
  }
}
