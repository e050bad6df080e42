package org.ftcluster.worker.tensor;

import java.lang.foreign.MemorySegment;

/** Address space that takes memory as far as it is used. */
public interface Reserve {
  /**
   * In which a GPU's memory is put: small beside that, and beside what a layer keeps, and large
   * beside what it takes to make one; a multiple of the 2 MB that GPUs map.
   */
  long DEVICE_PAGE_BYTES = 16L << 20;

  /** All of it. */
  MemorySegment region();

  /** What memory is put behind it in; a power of two. */
  long pageBytes();

  /** Makes sure that there is memory behind bytes [from, to). */
  void reach(long from, long to);

  /** Gives memory behind whole pages from {@code offset} on back; their content is lost. */
  void giveBack(long offset, long bytes);

  /** Gives memory behind all but the first {@code bytes} back, as far as it can. */
  void trim(long bytes);

  void release();

  /** The host's, whose system puts memory behind a page once it is written. */
  record OfHost(MemorySegment region) implements Reserve {
    static Reserve of(long bytes) {
      return new OfHost(LibC.reserve(bytes));
    }

    @Override
    public long pageBytes() {
      return Workspace.PAGE_BYTES;
    }

    @Override
    public void reach(long from, long to) {}

    @Override
    public void giveBack(long offset, long bytes) {
      LibC.discard(region.asSlice(offset, bytes));
    }

    @Override
    public void trim(long bytes) {
      LibC.discard(region.asSlice((bytes + Workspace.PAGE_BYTES - 1) & -Workspace.PAGE_BYTES));
    }

    @Override
    public void release() {
      LibC.release(region);
    }
  }
}
