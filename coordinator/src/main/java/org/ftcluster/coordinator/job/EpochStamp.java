package org.ftcluster.coordinator.job;

import org.apache.pekko.persistence.typed.EventAdapter;
import org.apache.pekko.persistence.typed.EventSeq;
import org.ftcluster.protocol.message.Epoch;

/**
 * Writes beside each event in which epoch it was written; a journal that several coordinators can
 * write refuses those of an epoch that is over.
 */
public final class EpochStamp<E> extends EventAdapter<E, E> {
  private final Epoch epoch;

  public EpochStamp(Epoch epoch) {
    this.epoch = epoch;
  }

  @Override
  public E toJournal(E event) {
    return event;
  }

  @Override
  public String manifest(E event) {
    return Long.toString(epoch.number());
  }

  @Override
  public EventSeq<E> fromJournal(E event, String manifest) {
    return EventSeq.single(event);
  }
}
