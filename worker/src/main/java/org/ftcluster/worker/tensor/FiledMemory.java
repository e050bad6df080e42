package org.ftcluster.worker.tensor;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;

/**
 * Memory that is a file, for large buffers that are used seldom and from their beginning to their
 * end. Whoever uses them asks for what comes next, and lets go of what is done, so that no more
 * than a piece takes room of the process; the system writes it to the disk, and keeps what it has
 * room for besides.
 *
 * <p>Memory of other kinds may be given as well, for which there is nothing to do.
 */
public final class FiledMemory {
  /** Bytes of a buffer that are worth being in memory at once. */
  public static final long PIECE = 4 << 20;

  private FiledMemory() {}

  /**
   * Zeros in a {@link ScratchFile}, which is gone with {@code arena}.
   *
   * @param content what it is to hold, in the plural, for messages
   * @throws org.ftcluster.protocol.job.BadJobException when the disk is full, or fails
   */
  public static MemorySegment allocate(Arena arena, Path folder, String content, long bytes) {
    if (bytes == 0) {
      return MemorySegment.NULL;
    }
    try (ScratchFile file = ScratchFile.in(folder, content)) {
      return file.map(arena, bytes);
    }
  }

  /** Whether it is such memory. */
  public static boolean is(MemorySegment memory) {
    return memory.isMapped();
  }

  /** Has a part brought from the disk, and doesn't wait for it. */
  public static void ahead(MemorySegment part) {
    if (is(part)) {
      LibC.willNeed(pages(part));
    }
  }

  /** A part isn't needed for a while; what was written stays. */
  public static void letGo(MemorySegment part) {
    if (is(part)) {
      LibC.discard(pages(part));
    }
  }

  /** All of {@code from}, of either kind, to {@code to}, which is as large. */
  public static void copy(MemorySegment from, MemorySegment to) {
    long piece = is(from) || is(to) ? PIECE : from.byteSize();
    for (long at = 0; at < from.byteSize(); at += piece) {
      long bytes = Math.min(piece, from.byteSize() - at);
      MemorySegment source = from.asSlice(at, bytes);
      MemorySegment target = to.asSlice(at, bytes);
      target.copyFrom(source);
      letGo(source);
      letGo(target);
    }
  }

  /** The pages that it has a part of; those of a file may be let go of at any time. */
  private static MemorySegment pages(MemorySegment part) {
    long start = part.address() & -Workspace.PAGE_BYTES;
    long end =
        (part.address() + part.byteSize() + Workspace.PAGE_BYTES - 1) & -Workspace.PAGE_BYTES;
    return MemorySegment.ofAddress(start).reinterpret(end - start);
  }
}
