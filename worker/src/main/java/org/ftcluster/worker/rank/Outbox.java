package org.ftcluster.worker.rank;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.function.Consumer;
import org.ftcluster.protocol.message.RankReport;

/**
 * What a rank reports in one generation. Nobody may be there to hear it, so it is kept for the
 * coordinator that takes over: of steps the latest, of notes the latest that weren't heard, and
 * everything else, which is little. Any thread may call.
 */
final class Outbox {
  /** Older notes are forgotten. */
  static final int MAX_NOTES = 100;

  private final Deque<RankReport> kept = new ArrayDeque<>();
  private Consumer<RankReport> coordinator;

  /**
   * @param coordinator hears of all that is sent; must return at once
   */
  Outbox(Consumer<RankReport> coordinator) {
    this.coordinator = coordinator;
  }

  synchronized void send(RankReport report) {
    keep(report);
    coordinator.accept(report);
  }

  /** From now on another coordinator listens, to {@code first}, and then to what was kept. */
  synchronized void redirect(Consumer<RankReport> coordinator, RankReport first) {
    this.coordinator = coordinator;
    coordinator.accept(first);
    kept.forEach(coordinator);
  }

  /** A note that needn't be kept any more. */
  synchronized void heard(String note) {
    kept.removeIf(report -> report instanceof RankReport.Noted noted && noted.note().equals(note));
  }

  private void keep(RankReport report) {
    switch (report) {
      case RankReport.StepCompleted ignored ->
          kept.removeIf(old -> old instanceof RankReport.StepCompleted);
      case RankReport.Noted ignored -> forgetOldNote();
      case RankReport.Prepared ignored -> {}
      case RankReport.Started ignored -> {}
      case RankReport.Resumed ignored -> {}
      case RankReport.Paced ignored -> kept.removeIf(old -> old instanceof RankReport.Paced);
      case RankReport.HandedOver ignored -> kept.removeIf(report::equals);
      case RankReport.Leaving ignored -> {}
      case RankReport.Completed ignored -> {}
      case RankReport.Failed ignored -> {}
    }
    kept.add(report);
  }

  private void forgetOldNote() {
    if (kept.stream().filter(old -> old instanceof RankReport.Noted).count() >= MAX_NOTES) {
      kept.stream()
          .filter(old -> old instanceof RankReport.Noted)
          .findFirst()
          .ifPresent(kept::remove);
    }
  }
}
