package org.ftcluster.worker.training;

import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.function.BooleanSupplier;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.worker.checkpoint.Progress;
import org.ftcluster.worker.data.EvalBatches;
import org.ftcluster.worker.model.PairLoss;
import org.ftcluster.worker.model.TokenBatch;
import org.ftcluster.worker.optimizer.GradientSum;
import org.ftcluster.worker.parallel.MeshRanks;
import org.ftcluster.worker.parallel.Replica;
import org.jspecify.annotations.Nullable;

/**
 * The mean loss over an evaluation set, its batches shared out among ranks.
 *
 * @param loss nats a target token; or a pair's
 * @param accuracy share of pairs whose better answer is ahead; null where there are none
 */
record Evaluation(double loss, @Nullable Double accuracy, EvalBatches batches) {
  private static final Runnable NOTHING = () -> {};

  /**
   * Evaluates, on all ranks together.
   *
   * @param preference null where there are no pairs
   * @param goesOn asked before each round, in which each copy of the model has a batch, and
   *     answered alike on all ranks; throws to end it at once
   * @return the same bits for any number of ranks; nothing where it didn't go on
   */
  static Optional<Evaluation> run(
      Replica replica,
      EvalBatches batches,
      JobSpec.@Nullable Preference preference,
      MeshRanks ranks,
      BooleanSupplier goesOn,
      Duration timeout) {
    PairTokens pairs = preference == null ? null : new PairTokens(replica, preference);
    // Sums without gradients: the losses' exact one is what is needed.
    try (GradientSum losses = GradientSum.of(JobSpec.Reduction.EXACT, 0, 0);
        GradientSum aheads = GradientSum.of(JobSpec.Reduction.EXACT, 0, 0)) {
      MemorySegment none = MemorySegment.NULL;
      losses.start(batches.size());
      aheads.start(batches.size());
      int copies = ranks.mesh().data();
      for (int round = 0; round < Math.ceilDiv(batches.size(), copies); round++) {
        if (!goesOn.getAsBoolean()) {
          return Optional.empty();
        }
        int b = round * copies + ranks.place().data();
        List<TokenBatch> own = b < batches.size() ? List.of(batches.batch(b)) : List.of();
        List<TokenBatch> asked = pairs == null ? own : pairs.of(own, 1, NOTHING);
        List<double[]> nats = replica.losses(asked, 1, true, NOTHING);
        if (asked.isEmpty() || !ranks.countsLoss()) {
          continue;
        }
        if (pairs == null) {
          losses.add(none, Arrays.stream(nats.getFirst()).sum() / batches.targetTokens());
        } else {
          List<PairLoss.Result> results = asked.getFirst().pairResults(nats.getFirst());
          double sum = results.stream().mapToDouble(PairLoss.Result::loss).sum();
          long ahead = results.stream().filter(result -> result.margin() > 0).count();
          losses.add(none, sum / batches.samples());
          aheads.add(none, (double) ahead / batches.samples());
        }
      }
      double loss = losses.reduce(ranks.all(), none, timeout);
      Double accuracy = null;
      if (pairs != null) {
        double ahead = aheads.reduce(ranks.all(), none, timeout);
        accuracy = Math.rint(ahead * batches.samples()) / batches.samples(); // it is so many pairs
      }
      return Optional.of(new Evaluation(loss, accuracy, batches));
    }
  }

  /** NaN where there is none. */
  static double lossOf(Optional<Evaluation> evaluation) {
    return evaluation.map(Evaluation::loss).orElse(Double.NaN);
  }

  /**
   * What is known with it.
   *
   * @param kept whether what was evaluated was kept
   */
  Progress addedTo(Progress progress, boolean kept) {
    return progress.withEvalLoss(loss, accuracy, kept);
  }

  /** In words. */
  String describe() {
    return accuracy == null
        ? String.format(Locale.ROOT, "%.4f over %d target tokens", loss, batches.targetTokens())
        : String.format(
            Locale.ROOT,
            "%.4f over %d pairs, with the better answer ahead in %.1f%%",
            loss,
            batches.samples(),
            100 * accuracy);
  }
}
