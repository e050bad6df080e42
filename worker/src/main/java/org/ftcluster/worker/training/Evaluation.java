package org.ftcluster.worker.training;

import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.OptionalDouble;
import java.util.function.BooleanSupplier;
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
   * @param goesOn asked before each round, in which each copy of the model has a batch, and
   *     answered alike on all ranks; throws to end it at once
   * @return nats a target token, the same bits for any number of ranks; nothing where it didn't go
   *     on
   */
  static OptionalDouble loss(
      Replica replica,
      EvalBatches batches,
      MeshRanks ranks,
      BooleanSupplier goesOn,
      Duration timeout) {
    // A sum without gradients: the losses' exact one is what is needed.
    try (GradientSum sum = GradientSum.of(JobSpec.Reduction.EXACT, 0, 0)) {
      MemorySegment none = MemorySegment.NULL;
      sum.start(batches.size());
      int copies = ranks.mesh().data();
      for (int round = 0; round < Math.ceilDiv(batches.size(), copies); round++) {
        if (!goesOn.getAsBoolean()) {
          return OptionalDouble.empty();
        }
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
      return OptionalDouble.of(sum.reduce(ranks.all(), none, timeout));
    }
  }
}
