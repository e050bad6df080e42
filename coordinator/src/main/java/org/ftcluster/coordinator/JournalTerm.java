package org.ftcluster.coordinator;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import org.ftcluster.coordinator.journal.Journal;
import org.ftcluster.coordinator.registry.Term;
import org.ftcluster.protocol.message.Epoch;

/**
 * A term that the journal keeps.
 *
 * @param end ends this node; returns at once
 */
record JournalTerm(Journal journal, Runnable end) implements Term {
  @Override
  public Epoch begin() {
    return journal.begin();
  }

  @Override
  public CompletionStage<Boolean> isRelieved(Epoch epoch) {
    return CompletableFuture.supplyAsync(
        () -> !journal.isNewest(epoch), task -> Thread.ofVirtual().start(task));
  }

  @Override
  public void relieved() {
    end.run();
  }
}
