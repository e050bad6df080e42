package org.ftcluster.worker.model;

import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.List;

/** Where what layers keep is while memory doesn't hold it. */
sealed interface ActivationStore extends AutoCloseable permits FiledActivations, HostActivations {
  /** For what one batch's layers keep. */
  Room open();

  @Override
  void close();

  /** What is in it is lost when it is closed. */
  interface Room extends AutoCloseable {
    /**
     * Begins to put pages away.
     *
     * @param at where in the room, in bytes
     */
    Transfer put(List<MemorySegment> pages, long at);

    /** Begins to bring them back to where they were. */
    Transfer get(List<MemorySegment> pages, long at);

    @Override
    void close();
  }

  /** Pages on their way. */
  interface Transfer extends LayerStore.Arrival {
    /** Returns when nothing reads or writes them any more, whatever became of them. */
    void end(Duration timeout);
  }
}
