package org.ftcluster.worker.model;

import java.util.List;
import org.ftcluster.worker.model.PairLoss.Result;

/**
 * The losses of a batch's pairs.
 *
 * @param batch with {@link TokenBatch#pairs}
 * @param rows of it that have a loss
 */
record PairObjective(TokenBatch batch, SequenceRows rows) {
  /** The sum of the pairs' losses. */
  double total(float[] losses) {
    double sum = 0;
    for (Result result : results(losses)) {
      sum += result.loss();
    }
    return sum;
  }

  /** The derivative of that by each row's loss, for which all of them have to be known. */
  float[] weights(float[] losses) {
    List<Result> results = results(losses);
    float[] weights = new float[losses.length];
    for (int row = 0; row < weights.length; row++) {
      int sequence = rows.sequence(row);
      if (sequence / 2 < results.size()) { // else it is padding
        Result result = results.get(sequence / 2);
        weights[row] = (float) (sequence % 2 == 0 ? result.byBetter() : result.byWorse());
      }
    }
    return weights;
  }

  private List<Result> results(float[] losses) {
    return batch.pairResults(rows.sums(losses));
  }
}
