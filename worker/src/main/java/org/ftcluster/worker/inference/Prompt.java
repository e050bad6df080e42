package org.ftcluster.worker.inference;

/**
 * What a model goes on from.
 *
 * @param whole whether all tokens that begin it are in the text, as a chat template writes them;
 *     else the one that begins a sample goes before it
 */
public record Prompt(String text, boolean whole) {
  /** Text as it comes. */
  public static Prompt of(String text) {
    return new Prompt(text, false);
  }
}
