package org.ftcluster.worker.training;

import java.lang.foreign.MemorySegment;
import java.time.Duration;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.worker.data.EvalBatches;
import org.ftcluster.worker.optimizer.GradientSum;
import org.ftcluster.worker.parallel.MeshRanks;
import org.ftcluster.worker.parallel.Replica;

/** The mean loss over an evaluation set, its batches shared out among ranks. */
final class Evaluation {
  private Evaluation() {}

  /**
   * Evaluates, on all ranks together.
   *
   * @param checkpoint called before each batch; throws to end it
   * @return nats a target token, the same bits for any number of ranks
   */
  static double loss(
      Replica replica,
      EvalBatches batches,
      MeshRanks ranks,
      Runnable checkpoint,
      Duration timeout) {
    // A sum without gradients: the losses' exact one is what is needed.
    try (GradientSum sum = GradientSum.of(JobSpec.Reduction.EXACT, 0, 0)) {
      MemorySegment none = MemorySegment.NULL;
      sum.start(batches.size());
      int copies = ranks.mesh().data();
      for (int round = 0; round < Math.ceilDiv(batches.size(), copies); round++) {
        checkpoint.run();
        int b = round * copies + ranks.place().data();
        if (b >= batches.size()) {
          replica.accompany();
          continue;
        }
        double lossSum = replica.lossSum(batches.batch(b));
        if (ranks.countsLoss()) {
          sum.add(none, lossSum / batches.targetTokens());
        }
      }
      return sum.reduce(ranks.all(), none, timeout);
    }
  }
}
