package org.ftcluster.worker.tensor;

import java.lang.foreign.MemorySegment;
import java.lang.management.ManagementFactory;
import java.util.ArrayDeque;
import java.util.Deque;
import org.jspecify.annotations.Nullable;

/**
 * Memory for activations and everything else that a step makes and drops, used as a stack. The same
 * pages serve every step, so a step in steady state allocates nothing and the peak is a number.
 * Used by one thread.
 */
public final class Workspace implements AutoCloseable {
  /** The host's: a multiple of what memory is handed out in. */
  public static final long PAGE_BYTES = 4096;

  /** What libtorch's own allocator gives, which its kernels are fastest with. */
  private static final long DEVICE_ALIGNMENT = 512;

  /** More than any accelerator has. */
  private static final long DEVICE_ADDRESS_SPACE = 1L << 40;

  private final @Nullable Accelerator accelerator;
  private final Reserve reserve;
  private final MemorySegment region;
  private final long alignment;
  private final Deque<Frame> frames = new ArrayDeque<>();
  private long top;

  /** Pages below have memory behind them, but for those that are away. */
  private long reached;

  private long away;
  private long peak;

  /**
   * @param bytes address space to reserve: memory is taken only as far as frames reach
   */
  public Workspace(long bytes) {
    this(null, Reserve.OfHost.of(bytes));
  }

  private Workspace(@Nullable Accelerator accelerator, Reserve reserve) {
    this.accelerator = accelerator;
    this.reserve = reserve;
    this.region = reserve.region();
    this.alignment = accelerator == null ? Scope.ALIGNMENT : DEVICE_ALIGNMENT;
  }

  /**
   * A workspace that may grow to all of the machine's (or the container's) memory, or to an
   * accelerator's.
   *
   * @param accelerator where its tensors are; null for the host
   */
  public static Workspace of(@Nullable Accelerator accelerator) {
    return accelerator == null
        ? ofMachine()
        : new Workspace(accelerator, accelerator.reserve(DEVICE_ADDRESS_SPACE));
  }

  /** Where its tensors are; null for the host. */
  public @Nullable Accelerator accelerator() {
    return accelerator;
  }

  /** A new one that takes the same memory. */
  public Workspace another() {
    return of(accelerator);
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

  /** The most bytes of memory that were taken at once. */
  public long peakBytes() {
    return peak;
  }

  /**
   * Where the topmost frame goes on, at the beginning of a page: {@link #pages} between two such
   * places can be put away.
   */
  public long pageBoundary() {
    top = pageEnd(top);
    return top;
  }

  /** The memory between two {@link #pageBoundary}s. */
  public MemorySegment pages(long from, long to) {
    return region.asSlice(from, to - from);
  }

  /** Gives memory behind pages in use back; their address stays, and their content is lost. */
  public void putAway(MemorySegment pages) {
    away += pages.byteSize();
    giveBack(pages);
  }

  private void giveBack(MemorySegment pages) {
    if (!DryRun.isOn()) {
      reserve.giveBack(offset(pages), pages.byteSize());
    }
  }

  /** Pages that were put away are about to be filled again. */
  public void bringBack(MemorySegment pages) {
    if (!DryRun.isOn()) {
      reserve.reach(offset(pages), offset(pages) + pages.byteSize());
    }
    away -= pages.byteSize();
    peak = Math.max(peak, reached - away);
  }

  private long offset(MemorySegment pages) {
    return pages.address() - region.address();
  }

  private long pageEnd(long at) {
    return (at + reserve.pageBytes() - 1) & -reserve.pageBytes();
  }

  /** Pages that were put away won't be needed any more. */
  public void forget(MemorySegment pages) {
    away -= pages.byteSize();
  }

  /** Gives memory that no frame uses back to the system. */
  public void trim() {
    reserve.trim(top);
    reached = top;
  }

  /** Where the next frame begins, in bytes. */
  public long top() {
    return top;
  }

  /** The same as {@link #trim}, of the highest so many bytes that were used. */
  public void shrink(long bytes) {
    long end = pageEnd(Math.max(top, reached - bytes));
    if (end < reached) {
      giveBack(region.asSlice(end, reached - end));
      reached = end;
    }
  }

  /** Gives all memory back to the system: what frames have there is zeros. */
  public void clear() {
    reserve.trim(0);
  }

  @Override
  public void close() {
    if (!frames.isEmpty()) {
      throw new IllegalStateException(frames.size() + " frames of the workspace are open");
    }
    reserve.release();
  }

  /** A scope of the workspace. */
  public final class Frame extends Scope {
    private final long base;

    private Frame(long base) {
      this.base = base;
    }

    @Override
    public @Nullable Accelerator accelerator() {
      return accelerator;
    }

    @Override
    MemorySegment allocate(long bytes) {
      if (frames.peek() != this) {
        throw new IllegalStateException("only the topmost frame of a workspace can allocate");
      }
      long end = (top + bytes + alignment - 1) & -alignment;
      if (end > region.byteSize()) {
        String full =
            "the workspace of %d MiB is full: %d MiB more are needed"
                .formatted(region.byteSize() >> 20, (end - region.byteSize()) >> 20);
        if (DryRun.isOn()) {
          throw new DryRun.TooLargeException(full);
        }
        throw new OutOfMemoryError(full);
      }
      reserve.reach(top, end);
      MemorySegment memory = region.asSlice(top, bytes);
      top = end;
      reached = Math.max(reached, top);
      peak = Math.max(peak, reached - away);
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
