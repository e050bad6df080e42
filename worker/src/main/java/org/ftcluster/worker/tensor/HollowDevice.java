package org.ftcluster.worker.tensor;

import java.lang.foreign.MemorySegment;
import java.util.function.BooleanSupplier;

/**
 * The accelerator of a {@link DryRun}: addresses without memory behind them, and kernels that
 * aren't run. So code takes the ways that it would take on a GPU.
 */
public final class HollowDevice implements Accelerator {
  private static final int BLOCK_THREADS = 256;

  /** As the GPU's memory is put behind a workspace. */
  private static final long PAGE_BYTES = 16L << 20;

  private static final long ALIGNMENT = 512;

  private final MemorySegment region = LibC.reserve(DryRun.ADDRESS_SPACE);
  private final Scratch scratch = new Scratch(this);
  private long top;

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
    MemorySegment memory = region.asSlice(top, bytes);
    top += (bytes + ALIGNMENT - 1) & -ALIGNMENT;
    return memory;
  }

  @Override
  public void free(MemorySegment memory) {}

  @Override
  public Reserve reserve(long bytes) {
    return new HollowReserve(LibC.reserve(bytes));
  }

  private record HollowReserve(MemorySegment region) implements Reserve {
    @Override
    public long pageBytes() {
      return PAGE_BYTES;
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
