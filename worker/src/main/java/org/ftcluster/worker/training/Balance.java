package org.ftcluster.worker.training;

import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.message.RankReport.Pace;
import org.ftcluster.worker.data.GlobalBatch;
import org.ftcluster.worker.data.MicroBatch;
import org.ftcluster.worker.optimizer.GradientSum;
import org.ftcluster.worker.parallel.Deal;
import org.ftcluster.worker.parallel.Dealer;
import org.ftcluster.worker.parallel.MeshRanks;
import org.ftcluster.worker.training.RankTask.RankEvents;

/**
 * Keeps the replicas of a generation equally busy. What each took for its micro-batches travels in
 * the sum of the step's gradients, so that all ranks know it, and deal alike, without a message
 * more. Used by the rank's thread.
 */
final class Balance {
  private final MeshRanks ranks;
  private final GradientSum sum;
  private final RankEvents events;
  private final Dealer dealer;
  private long[] tokens = {};
  private boolean wasStraggling;

  Balance(JobSpec spec, MeshRanks ranks, GradientSum sum, RankEvents events) {
    this.ranks = ranks;
    this.sum = sum;
    this.events = events;
    this.dealer = new Dealer(ranks.mesh().data(), mayDealUnevenly(spec));
  }

  /**
   * A sum of floats depends on who adds what, and replicas that share out their layers, or the sum,
   * go through micro-batches together.
   */
  private static boolean mayDealUnevenly(JobSpec spec) {
    return spec.training().reduction() == JobSpec.Reduction.EXACT
        && switch (spec.parallel().sharding()) {
          case NONE, ZERO1 -> true;
          case ZERO2, ZERO3 -> false;
        };
  }

  /** Who takes what of a step. */
  Deal deal(GlobalBatch batch) {
    tokens = batch.microBatches().stream().mapToLong(MicroBatch::tokenCount).toArray();
    return dealer.deal(tokens);
  }

  /** This rank's micro-batches of the step are done, and its gradients not yet summed. */
  void worked(long nanos) {
    if (ranks.countsLoss()) {
      sum.tell(ranks.place().data(), nanos);
    }
  }

  /**
   * The gradients are summed.
   *
   * @return time that this rank's replica takes for a token, compared with the others; 0 while it
   *     isn't known
   */
  double learn() {
    int replicas = ranks.mesh().data();
    if (replicas == 1) {
      return 0;
    }
    long[] nanos = new long[replicas];
    for (int replica = 0; replica < replicas; replica++) {
      nanos[replica] = sum.told(replica);
    }
    dealer.learn(tokens, nanos);
    int own = ranks.place().data();
    double slowness = dealer.relativeSlowness(own);
    if (ranks.countsLoss() && slowness > 0 && dealer.straggles(own) != wasStraggling) {
      wasStraggling = !wasStraggling;
      events.paced(slowness, pace());
    }
    return slowness;
  }

  private Pace pace() {
    if (!wasStraggling) {
      return Pace.KEEPS_UP;
    }
    return dealer.isCoarse(tokens) ? Pace.HOLDS_UP : Pace.STRAGGLES;
  }
}
