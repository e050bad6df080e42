package org.ftcluster.worker.data;

import java.util.List;

/**
 * What one optimizer step learns from, on all ranks together.
 *
 * @param step from 0
 * @param epoch epochs done once this step is
 * @param targetTokens tokens that carry a loss, over the whole batch: what the sum of losses is
 *     divided by, but for pairs
 * @param tokens all of them
 */
public record GlobalBatch(
    long step,
    double epoch,
    List<MicroBatch> microBatches,
    long targetTokens,
    long sampleCount,
    long tokens) {

  /** The samples' ids, micro-batch after micro-batch. */
  public List<Long> sampleIds() {
    return microBatches.stream().flatMap(batch -> batch.sampleIds().stream()).toList();
  }
}
