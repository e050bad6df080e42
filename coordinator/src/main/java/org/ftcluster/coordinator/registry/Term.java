package org.ftcluster.coordinator.registry;

import java.util.concurrent.CompletionStage;
import org.ftcluster.protocol.message.Epoch;

/** In whose time a coordinator acts. */
public interface Term {
  /**
   * Takes the next epoch, durably; may wait for the database.
   *
   * @throws IllegalStateException when that doesn't answer: to be tried again
   */
  Epoch begin();

  /** Whether another coordinator has begun to act since; fails where that can't be told now. */
  CompletionStage<Boolean> isRelieved(Epoch epoch);

  /** Another coordinator has begun to act: this process must end. Returns at once. */
  void relieved();
}
