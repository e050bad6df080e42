package org.ftcluster.worker.rank;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import org.ftcluster.protocol.message.RankReport;
import org.ftcluster.protocol.message.RankReport.Noted;
import org.ftcluster.protocol.message.RankReport.Started;
import org.ftcluster.protocol.message.RankReport.StepCompleted;
import org.ftcluster.protocol.message.RankReport.StepMetrics;
import org.junit.jupiter.api.Test;

class OutboxTest {
  private static final RankReport FIRST = new Noted("j", 1, 0, "here");

  private final List<RankReport> heard = new ArrayList<>();
  private final Outbox outbox = new Outbox(heard::add);

  @Test
  void ofStepsTheLatestIsKeptAndOfEventsAll() {
    outbox.send(new Started("j", 1, 0, 0));
    outbox.send(step(1));
    outbox.send(note("a"));
    outbox.send(step(2));
    assertEquals(4, heard.size());
    assertEquals(List.of(FIRST, new Started("j", 1, 0, 0), note("a"), step(2)), redirected());
  }

  @Test
  void aNoteThatWasHeardIsNotKept() {
    outbox.send(note("a"));
    outbox.send(note("b"));
    outbox.heard("a");
    assertEquals(List.of(FIRST, note("b")), redirected());
  }

  @Test
  void theOldestOfTooManyNotesAreForgotten() {
    outbox.send(new Started("j", 1, 0, 0));
    for (int i = 0; i <= Outbox.MAX_NOTES; i++) {
      outbox.send(note("note " + i));
    }
    List<RankReport> kept = redirected();
    assertEquals(2 + Outbox.MAX_NOTES, kept.size());
    assertTrue(kept.contains(new Started("j", 1, 0, 0)));
    assertEquals(note("note 1"), kept.get(2));
  }

  private List<RankReport> redirected() {
    List<RankReport> next = new ArrayList<>();
    outbox.redirect(next::add, FIRST);
    return next;
  }

  private static RankReport note(String text) {
    return new Noted("j", 1, 0, text);
  }

  private static RankReport step(long step) {
    return new StepCompleted("j", 1, 0, new StepMetrics(step, 0, 1, 1, 1e-3, 1, 1, 1, 1, 1));
  }
}
