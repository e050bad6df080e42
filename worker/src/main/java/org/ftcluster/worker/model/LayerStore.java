package org.ftcluster.worker.model;

import java.lang.foreign.MemorySegment;
import java.time.Duration;

/** Where the frozen weights of layers are while they aren't in memory as a whole. */
sealed interface LayerStore extends AutoCloseable permits FiledLayers, HostLayers, SharedLayers {
  /**
   * What became of a weight.
   *
   * @param room bytes that it takes where it is brought back
   * @param held bytes that it takes in memory all the time
   */
  record Kept(long room, long held) {}

  /** A layer on its way. */
  @FunctionalInterface
  interface Arrival {
    /** Waits for it, no longer than that. */
    void await(Duration timeout);
  }

  /** Puts the next weight of a layer away. Layers come in order. */
  Kept keep(int layer, MemorySegment elements);

  /**
   * Begins to bring a layer's weights back.
   *
   * @param memory the rooms of its weights, one after the other
   */
  Arrival fetch(int layer, MemorySegment memory);

  @Override
  void close();
}
