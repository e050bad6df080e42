package org.ftcluster.coordinator.job;

import java.util.Locale;
import org.ftcluster.protocol.message.RankReport.Paced;

/** What people are told of ranks and their workers. */
final class Notes {
  private Notes() {}

  /** A clause with a capital and a full stop. */
  static String sentence(String clause) {
    return Character.toUpperCase(clause.charAt(0)) + clause.substring(1) + ".";
  }

  /** Why a generation that hasn't started in time is given up: a clause. */
  static String overdue(Generation generation, Patience patience) {
    if (!generation.isComplete()) {
      return "the coordinator began anew, and %s did not come back within %d s"
          .formatted(
              generation.missing(),
              patience.resume().multipliedBy(generation.hasWaitedLonger() ? 2 : 1).toSeconds());
    }
    return generation.isPrepared()
        ? "the ranks did not connect within %d s".formatted(patience.start().toSeconds())
        : "%s did not prepare within %d s"
            .formatted(generation.unprepared(), patience.prepare().toSeconds());
  }

  static String shunned(String node) {
    return "The worker %s has failed again; where there are enough others, the job goes on without it for a while."
        .formatted(node);
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
