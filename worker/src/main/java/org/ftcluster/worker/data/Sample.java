package org.ftcluster.worker.data;

/**
 * One line of the data as tokens: prompt, then response.
 *
 * @param id the line's place among the file's samples, from 0
 * @param tokens beginning of sequence, prompt, response, end of sequence
 * @param promptLength how many of them carry no loss: all up to the response
 */
public record Sample(long id, int[] tokens, int promptLength) {
  /** Tokens that carry a loss: those of the response, but for a token nothing stands before. */
  public int targetCount() {
    return tokens.length - Math.max(1, promptLength);
  }
}
