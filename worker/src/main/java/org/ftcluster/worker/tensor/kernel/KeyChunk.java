package org.ftcluster.worker.tensor.kernel;

import org.ftcluster.worker.tensor.kernel.AttentionScratch.Block;

/** Keys [from, to) that a block looks at and that are all in one chunk of {@code SIZE}. */
record KeyChunk(int from, int to) {
  /** A multiple of a block's rows. */
  static final int SIZE = 256;

  static KeyChunk first(Block block) {
    return new KeyChunk(block.from(), Math.min(block.from() / SIZE * SIZE + SIZE, block.to()));
  }

  KeyChunk next(Block block) {
    return new KeyChunk(to, Math.min(to + SIZE, block.to()));
  }

  boolean isIn(Block block) {
    return from < block.to();
  }

  int count() {
    return to - from;
  }

  /** Where they begin in their chunk. */
  int column() {
    return from % SIZE;
  }
}
