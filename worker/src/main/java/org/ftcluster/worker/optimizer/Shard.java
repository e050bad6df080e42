package org.ftcluster.worker.optimizer;

import java.lang.foreign.MemorySegment;

/**
 * Neighbouring parameters, by their places among all of them.
 *
 * @param from the first one's
 * @param to behind the last one's
 */
public record Shard(long from, long to) {
  public Shard {
    if (from < 0 || to < from) {
      throw new IllegalArgumentException("parameters %d up to %d".formatted(from, to));
    }
  }

  /** Parameters. */
  public long size() {
    return to - from;
  }

  /** What both have; empty where that is nothing. */
  public Shard and(Shard other) {
    long first = Math.max(from, other.from);
    return new Shard(first, Math.max(first, Math.min(to, other.to)));
  }

  /** The part of a float32 buffer of all parameters. */
  public MemorySegment of(MemorySegment all) {
    return in(all, 0);
  }

  /** The part of a float32 buffer that begins with the parameter {@code first}. */
  public MemorySegment in(MemorySegment buffer, long first) {
    return buffer.asSlice((from - first) * Float.BYTES, size() * Float.BYTES);
  }
}
