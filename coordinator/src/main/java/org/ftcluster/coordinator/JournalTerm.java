package org.ftcluster.coordinator;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import org.ftcluster.coordinator.journal.Journal;
import org.ftcluster.coordinator.registry.Term;
import org.ftcluster.protocol.cluster.Probe;
import org.ftcluster.protocol.message.Epoch;

/** A term that the journal keeps. */
final class JournalTerm implements Term {
  private final Journal journal;
  private final Runnable end;
  private volatile String address = "";
  private volatile boolean acting;
  private volatile boolean relieved;

  /**
   * @param end ends this node; returns at once
   */
  JournalTerm(Journal journal, Runnable end) {
    this.journal = journal;
    this.end = end;
  }

  /** Where this coordinator is reached with gRPC; to be known before it begins to act. */
  void at(String address) {
    this.address = address;
  }

  /**
   * Where the other coordinator is reached that acts; empty where none does, or it is gone.
   *
   * @throws IllegalStateException when the database doesn't answer
   */
  String actingElsewhere() {
    String acting = journal.acting();
    return !acting.equals(address)
            && journal.roster().all().stream()
                .anyMatch(entry -> entry.grpc().equals(acting) && entry.seen())
            && Probe.of(acting) == Probe.REACHED
        ? acting
        : "";
  }

  /** Whether the coordinator in this process has begun to act. */
  boolean isActing() {
    return acting;
  }

  /** Whether another one has begun since. */
  boolean wasRelieved() {
    return relieved;
  }

  @Override
  public Epoch begin() {
    Epoch epoch = journal.begin(address);
    acting = true;
    return epoch;
  }

  @Override
  public CompletionStage<Boolean> isRelieved(Epoch epoch) {
    return CompletableFuture.supplyAsync(
        () -> !journal.isNewest(epoch), task -> Thread.ofVirtual().start(task));
  }

  @Override
  public void relieved() {
    acting = false;
    relieved = true;
    end.run();
  }
}
