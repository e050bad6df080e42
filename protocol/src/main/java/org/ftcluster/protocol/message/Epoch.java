package org.ftcluster.protocol.message;

/**
 * The time in which one coordinator acts: each that begins to act takes the next number, durably,
 * and from then on those before it are refused, by the journal and by workers.
 *
 * @param journal whose jobs they are; epochs of different journals have nothing to do with each
 *     other
 * @param number from 1
 */
public record Epoch(String journal, long number) {
  /** Whether whoever acts in this epoch has been relieved by {@code other}'s. */
  public boolean isBefore(Epoch other) {
    return journal.equals(other.journal) && number < other.number;
  }
}
