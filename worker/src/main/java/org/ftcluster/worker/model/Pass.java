package org.ftcluster.worker.model;

import org.ftcluster.worker.tensor.Workspace;

/**
 * One trip of a batch through the layers.
 *
 * @param lengths tokens of each sequence
 * @param positions of each token within its sequence
 * @param longest the longest sequence's tokens
 * @param dropout whether adapters drop inputs out
 * @param dropoutSeed decides which
 * @param adapted whether adapters add their part at all
 */
record Pass(
    Workspace workspace,
    int[] lengths,
    int[] positions,
    int longest,
    boolean dropout,
    long dropoutSeed,
    boolean adapted) {

  static Pass of(Workspace workspace, TokenBatch batch, boolean dropout, long dropoutSeed) {
    int[] positions = new int[batch.tokenCount()];
    int longest = 0;
    int next = 0;
    for (int length : batch.lengths()) {
      for (int i = 0; i < length; i++) {
        positions[next++] = i;
      }
      longest = Math.max(longest, length);
    }
    return new Pass(workspace, batch.lengths(), positions, longest, dropout, dropoutSeed, true);
  }

  /** The same through the base alone. */
  Pass withoutAdapters() {
    return new Pass(workspace, lengths, positions, longest, dropout, dropoutSeed, false);
  }

  /** T. */
  int tokens() {
    return positions.length;
  }
}
