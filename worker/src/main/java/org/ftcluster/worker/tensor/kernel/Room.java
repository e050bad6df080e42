package org.ftcluster.worker.tensor.kernel;

import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/**
 * A thread's scratch outside Java's heap, handed out piece by piece: each begins a cache line, as
 * products want it whose operands go through tile registers, which arrays can't promise. Without
 * memory it only counts what it is asked for.
 */
final class Room {
  private static final long LINE = 64;

  private final @Nullable MemorySegment memory;
  private long used;

  private Room(@Nullable MemorySegment memory) {
    this.memory = memory;
  }

  static Room counting() {
    return new Room(null);
  }

  /**
   * @param memory begins a cache line
   */
  static Room in(MemorySegment memory) {
    return new Room(memory);
  }

  /** Undefined contents. */
  MemorySegment take(long elements, int elementBytes) {
    long bytes = elements * elementBytes;
    long from = used;
    used += (bytes + LINE - 1) & -LINE;
    return memory == null ? MemorySegment.NULL : memory.asSlice(from, bytes);
  }

  /** Bytes handed out. */
  long used() {
    return used;
  }
}
