package org.ftcluster.worker.data;

import java.util.List;

/**
 * What one optimizer step learns from, on all ranks together.
 *
 * @param step from 0
 * @param epoch epochs done once this step is
 * @param targetTokens tokens that carry a loss, over the whole batch: what the sum of losses is
 *     divided by
 * @param tokens all of them
 */
public record GlobalBatch(
    long step,
    double epoch,
    List<MicroBatch> microBatches,
    long targetTokens,
    long sampleCount,
    long tokens) {

  /**
   * A rank's share: neighbouring micro-batches, no more than one more than any other rank has. Over
   * all ranks of a world each micro-batch is there once; with more ranks than micro-batches some
   * have none.
   */
  public List<MicroBatch> microBatchesOf(int rank, int worldSize) {
    long count = microBatches.size();
    int from = (int) (count * rank / worldSize);
    int to = (int) (count * (rank + 1) / worldSize);
    return microBatches.subList(from, to);
  }

  /** The samples' ids, micro-batch after micro-batch. */
  public List<Long> sampleIds() {
    return microBatches.stream().flatMap(batch -> batch.sampleIds().stream()).toList();
  }
}
