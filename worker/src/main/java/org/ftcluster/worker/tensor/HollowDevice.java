package org.ftcluster.worker.tensor;

import java.lang.foreign.MemorySegment;
import java.util.function.BooleanSupplier;

/**
 * The accelerator of a {@link DryRun}: addresses without memory behind them, and kernels that
 * aren't run. So code takes the ways that it would take on a GPU.
 */
public final class HollowDevice implements Accelerator {
  private static final int BLOCK_THREADS = 256;

  private static final long ALIGNMENT = 512;

  private final MemorySegment region = LibC.reserve(DryRun.ADDRESS_SPACE);
  private final Scratch scratch = new Scratch(this);
  private long top;
  private long libtorchBytes;

  /** The most bytes that one operation of libtorch's takes, which it keeps from then on. */
  public long libtorchBytes() {
    return libtorchBytes;
  }

  /** An operation of libtorch's takes so many bytes for itself. */
  void taken(long bytes) {
    libtorchBytes = Math.max(libtorchBytes, bytes);
  }

  @Override
  public int blockThreads() {
    return BLOCK_THREADS;
  }

  @Override
  public String name() {
    return "hollow";
  }

  @Override
  public int torchDeviceType() {
    return TorchCuda.DEVICE_TYPE;
  }

  @Override
  public int torchDeviceIndex() {
    return 0;
  }

  @Override
  public MemorySegment stream() {
    return MemorySegment.NULL;
  }

  @Override
  public long freeBytes() {
    return region.byteSize() - top;
  }

  @Override
  public MemorySegment allocate(long bytes) {
    if (bytes > freeBytes()) {
      throw new DryRun.TooLargeException("%d bytes of a device".formatted(bytes));
    }
    MemorySegment memory = region.asSlice(top, bytes);
    top += (bytes + ALIGNMENT - 1) & -ALIGNMENT;
    return memory;
  }

  @Override
  public void free(MemorySegment memory) {}

  /** More than a GPU has: there is no other limit to what is tried. */
  @Override
  public Reserve reserve(long bytes) {
    return new HollowReserve(LibC.reserve(DryRun.ADDRESS_SPACE));
  }

  private record HollowReserve(MemorySegment region) implements Reserve {
    @Override
    public long pageBytes() {
      return DEVICE_PAGE_BYTES;
    }

    @Override
    public void reach(long from, long to) {}

    @Override
    public void giveBack(long offset, long bytes) {}

    @Override
    public void trim(long bytes) {}

    @Override
    public void release() {
      LibC.release(region);
    }
  }

  @Override
  public Scratch scratch() {
    return scratch;
  }

  @Override
  public MemorySegment allocateOnHost(long bytes) {
    return allocate(bytes);
  }

  @Override
  public void freeOnHost(MemorySegment memory) {}

  @Override
  public Runnable bring(MemorySegment to, MemorySegment from) {
    return () -> {};
  }

  @Override
  public BooleanSupplier take(MemorySegment to, MemorySegment from) {
    return () -> true;
  }

  @Override
  public void clear(MemorySegment memory) {}

  @Override
  public void upload(MemorySegment to, MemorySegment from) {}

  @Override
  public void download(MemorySegment to, MemorySegment from) {}

  @Override
  public void launch(Kernel kernel, long blocks, Object... arguments) {}

  @Override
  public void synchronize() {}

  @Override
  public void close() {
    LibC.release(region);
  }
}
