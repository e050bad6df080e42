package org.ftcluster.worker.tensor;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.jspecify.annotations.Nullable;

/**
 * A ring of an {@link Accelerator}'s memory for what lives for a few kernels: indices that come
 * from the host, and intermediate sums. Since kernels run in the order told, a piece can be handed
 * out again as soon as whoever had it has told all that it had to tell.
 */
public final class Scratch {
  public static final long BYTES = 256L << 20;

  /** So that what one operation asks for doesn't meet in the ring. */
  private static final long LARGEST = BYTES / 8;

  private static final long ALIGNMENT = 256;

  private final Accelerator accelerator;
  private @Nullable MemorySegment ring;
  private long next;

  public Scratch(Accelerator accelerator) {
    this.accelerator = accelerator;
  }

  /** Undefined contents, for the operation at hand. */
  public MemorySegment allocate(long bytes) {
    if (bytes > LARGEST) {
      String tooLarge =
          "%d MiB of scratch; an operation can have %d".formatted(bytes >> 20, LARGEST >> 20);
      throw DryRun.isOn()
          ? new DryRun.TooLargeException(tooLarge)
          : new IllegalArgumentException(tooLarge);
    }
    if (ring == null) {
      ring = accelerator.allocate(BYTES);
    }
    if (next + bytes > BYTES) {
      next = 0;
    }
    MemorySegment memory = ring.asSlice(next, bytes);
    next += (bytes + ALIGNMENT - 1) & -ALIGNMENT;
    return memory;
  }

  public MemorySegment upload(int[] values) {
    MemorySegment memory = allocate((long) values.length * Integer.BYTES);
    try (Arena arena = Arena.ofConfined()) {
      accelerator.upload(memory, arena.allocateFrom(ValueLayout.JAVA_INT, values));
    }
    return memory;
  }

  public MemorySegment upload(float[] values) {
    MemorySegment memory = allocate((long) values.length * Float.BYTES);
    try (Arena arena = Arena.ofConfined()) {
      accelerator.upload(memory, arena.allocateFrom(ValueLayout.JAVA_FLOAT, values));
    }
    return memory;
  }

  /**
   * Waits for what was told, and reads the first {@code count} floats to {@code values} from {@code
   * start} on.
   */
  public void download(MemorySegment from, float[] values, int start, int count) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment copy = arena.allocate((long) count * Float.BYTES, Float.BYTES);
      accelerator.download(copy, from.asSlice(0, copy.byteSize()));
      MemorySegment.copy(copy, ValueLayout.JAVA_FLOAT, 0, values, start, count);
    }
  }

  /** Gives the ring back. */
  public void close() {
    if (ring != null) {
      accelerator.free(ring);
      ring = null;
    }
  }
}
