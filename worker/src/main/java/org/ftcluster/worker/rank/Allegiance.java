package org.ftcluster.worker.rank;

import org.ftcluster.protocol.message.Epoch;
import org.jspecify.annotations.Nullable;

/** The newest epoch that this process has heard of. Any thread may call. */
final class Allegiance {
  private @Nullable Epoch newest;

  /** Whether a coordinator may act; remembers its epoch. False for one that was relieved. */
  synchronized boolean obeys(Epoch epoch) {
    if (newest != null && epoch.isBefore(newest)) {
      return false;
    }
    newest = epoch;
    return true;
  }
}
