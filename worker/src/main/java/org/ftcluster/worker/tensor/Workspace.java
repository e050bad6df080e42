package org.ftcluster.worker.tensor;

import java.lang.foreign.MemorySegment;
import java.lang.management.ManagementFactory;
import java.util.ArrayDeque;
import java.util.Deque;

/**
 * Memory for activations and everything else that a step makes and drops, used as a stack. The same
 * pages serve every step, so a step in steady state allocates nothing and the peak is a number.
 * Used by one thread.
 */
public final class Workspace implements AutoCloseable {
  /** A multiple of what memory is handed out in. */
  public static final long PAGE_BYTES = 4096;

  private final MemorySegment region;
  private final Deque<Frame> frames = new ArrayDeque<>();
  private long top;
  private long peak;

  /**
   * @param bytes address space to reserve: memory is taken only as far as frames reach
   */
  public Workspace(long bytes) {
    region = LibC.reserve(bytes);
  }

  /** A workspace that may grow to all of the machine's (or the container's) memory. */
  public static Workspace ofMachine() {
    if (DryRun.isOn()) {
      return new Workspace(DryRun.ADDRESS_SPACE);
    }
    var system =
        ManagementFactory.getPlatformMXBean(com.sun.management.OperatingSystemMXBean.class);
    return new Workspace(system.getTotalMemorySize());
  }

  /**
   * A frame on top of the stack; only the topmost frame can allocate, and frames close in reverse
   * order.
   */
  public Frame open() {
    Frame frame = new Frame(top);
    frames.push(frame);
    return frame;
  }

  /** The most bytes that were in use at once. */
  public long peakBytes() {
    return peak;
  }

  /** Gives memory that no frame uses back to the system. */
  public void trim() {
    LibC.discard(region.asSlice((top + PAGE_BYTES - 1) & -PAGE_BYTES));
  }

  @Override
  public void close() {
    if (!frames.isEmpty()) {
      throw new IllegalStateException(frames.size() + " frames of the workspace are open");
    }
    LibC.release(region);
  }

  /** A scope of the workspace. */
  public final class Frame extends Scope {
    private final long base;

    private Frame(long base) {
      this.base = base;
    }

    @Override
    MemorySegment allocate(long bytes) {
      if (frames.peek() != this) {
        throw new IllegalStateException("only the topmost frame of a workspace can allocate");
      }
      long end = (top + bytes + ALIGNMENT - 1) & -ALIGNMENT;
      if (end > region.byteSize()) {
        throw new OutOfMemoryError(
            "the workspace of %d MiB is full: %d MiB more are needed"
                .formatted(region.byteSize() >> 20, (end - region.byteSize()) >> 20));
      }
      MemorySegment memory = region.asSlice(top, bytes);
      top = end;
      peak = Math.max(peak, top);
      return memory;
    }

    @Override
    void free() {
      if (frames.peek() != this) {
        throw new IllegalStateException("frames of a workspace close in reverse order");
      }
      frames.pop();
      top = base;
    }
  }
}
