package org.ftcluster.worker.model;

import java.util.Arrays;

/** Which sequences of a batch some of its tokens belong to. */
final class SequenceRows {
  private final int[] sequences;
  private final int count;

  /**
   * @param rows places of tokens in the batch
   */
  SequenceRows(TokenBatch batch, int[] rows) {
    int[] ofTokens = new int[batch.tokenCount()];
    int begin = 0;
    for (int i = 0; i < batch.lengths().length; i++) {
      Arrays.fill(ofTokens, begin, begin + batch.lengths()[i], i);
      begin += batch.lengths()[i];
    }
    this.sequences = Arrays.stream(rows).map(row -> ofTokens[row]).toArray();
    this.count = batch.lengths().length;
  }

  int sequence(int row) {
    return sequences[row];
  }

  /** Of each sequence. */
  double[] sums(float[] ofRows) {
    double[] sums = new double[count];
    for (int row = 0; row < sequences.length; row++) {
      sums[sequences[row]] += ofRows[row];
    }
    return sums;
  }
}
