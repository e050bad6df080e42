package org.ftcluster.worker.data;

/**
 * A line of the data as tokens, or one answer's half of a pair.
 *
 * @param tokens all of them, those that begin and end it included
 * @param answers which of them carry a loss: from and to, the first after the last, of each answer
 *     in turn
 */
public record Sequence(int[] tokens, int[] answers) {
  /** Tokens that carry a loss: those of answers, but for a token nothing stands before. */
  public int targetCount() {
    return targetCount(answers, 0, answers.length);
  }

  /** The same of some of an array of answers. */
  static int targetCount(int[] answers, int from, int to) {
    int count = 0;
    for (int i = from; i < to; i += 2) {
      count += answers[i + 1] - Math.max(1, answers[i]);
    }
    return count;
  }
}
