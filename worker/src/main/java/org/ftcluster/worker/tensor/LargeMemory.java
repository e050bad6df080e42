package org.ftcluster.worker.tensor;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Memory for large buffers that come and go: in large pages where the system has them, which cuts
 * the time of a first touch to a fraction, and given back to the system at once.
 */
public final class LargeMemory {
  private LargeMemory() {}

  /** Zeroed memory that lives as long as {@code arena}; pages are taken as they are written. */
  public static MemorySegment allocate(Arena arena, long bytes) {
    if (bytes == 0) {
      return MemorySegment.NULL;
    }
    return LibC.reserve(bytes).reinterpret(bytes, arena, LibC::release);
  }
}
