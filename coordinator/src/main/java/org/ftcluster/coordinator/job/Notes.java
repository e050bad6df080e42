package org.ftcluster.coordinator.job;

import java.util.Locale;
import org.ftcluster.protocol.message.RankReport.Paced;

/** What people are told of ranks. */
final class Notes {
  private Notes() {}

  /** A clause with a capital and a full stop. */
  static String sentence(String clause) {
    return Character.toUpperCase(clause.charAt(0)) + clause.substring(1) + ".";
  }

  /**
   * What is to be said of a rank's pace.
   *
   * @param rank its name
   */
  static String pace(String rank, Paced paced) {
    String slow =
        String.format(
            Locale.ROOT,
            "%s is a straggler: it takes %.1f times as long for a token as the others do",
            rank,
            paced.slowness());
    return sentence(
        switch (paced.pace()) {
          case KEEPS_UP -> "%s keeps up with the others again".formatted(rank);
          case STRAGGLES -> slow;
          case HOLDS_UP ->
              slow
                  + ", and holds them up; a step has too few micro-batches to share them out by"
                  + " speed: a larger training.global_batch_size or a smaller"
                  + " training.micro_batch_size makes more";
        });
  }
}
