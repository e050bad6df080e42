package org.ftcluster.worker.rank;

/** What a rank does. */
enum Phase {
  IDLE,
  PREPARING,
  TRAINING,
  /** Told to stop, and not there yet. */
  STOPPING,
  /** About to leave: takes no rank any more, though one may still be at work. */
  DRAINING
}
