package org.ftcluster.worker.model;

/**
 * Sequences laid end to end, without padding: what goes through a model at once. Attention and
 * positions stay inside each sequence.
 *
 * @param tokens token ids, T of them
 * @param targets for each token the id that should follow it, or {@link #NO_TARGET} where that
 *     carries no loss; T of them
 * @param lengths tokens of each sequence; they sum to T
 */
public record TokenBatch(int[] tokens, int[] targets, int[] lengths) {
  /** Marks a position that carries no loss. */
  public static final int NO_TARGET = -100;

  public TokenBatch {
    int total = 0;
    for (int length : lengths) {
      if (length <= 0) {
        throw new IllegalArgumentException("a sequence of " + length + " tokens");
      }
      total += length;
    }
    if (tokens.length != total || targets.length != total) {
      throw new IllegalArgumentException(
          "lengths sum to %d, but there are %d tokens and %d targets"
              .formatted(total, tokens.length, targets.length));
    }
  }

  /** T, over all sequences. */
  public int tokenCount() {
    return tokens.length;
  }

  /** Positions that carry a loss. */
  public int targetCount() {
    int count = 0;
    for (int target : targets) {
      if (target != NO_TARGET) {
        count++;
      }
    }
    return count;
  }
}
