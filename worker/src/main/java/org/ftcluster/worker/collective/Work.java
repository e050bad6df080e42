package org.ftcluster.worker.collective;

import java.time.Duration;

/** A collective under way. */
public interface Work {
  /**
   * Waits until the operation is done on this rank.
   *
   * @throws CollectiveException when it failed, was aborted, or took longer than {@code timeout}:
   *     the message says which operation, which peers it waited for, and why. The communicator is
   *     of no use afterwards.
   */
  void await(Duration timeout);

  boolean isDone();
}
