package org.ftcluster.worker.tensor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.LongBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;

/** What a workspace counts is what the process holds. */
class WorkspaceTest {
  private static final long FRAME = 64 << 20;

  /** Pages may be huge ones, which reach beyond what was asked for. */
  private static final long TOLERANCE = 4 << 20;

  /**
   * Bytes of a workspace that have memory behind them, in RAM or swapped out: the two highest bits
   * of a page's 8 bytes in the system's table.
   */
  private static long held(MemorySegment pages) throws IOException {
    long count = pages.byteSize() / Workspace.PAGE_BYTES;
    ByteBuffer entries =
        ByteBuffer.allocate(Math.toIntExact(count * Long.BYTES)).order(ByteOrder.nativeOrder());
    try (FileChannel table = FileChannel.open(Path.of("/proc/self/pagemap"))) {
      long place = pages.address() / Workspace.PAGE_BYTES * Long.BYTES;
      while (entries.hasRemaining()) {
        int read = table.read(entries, place + entries.position());
        assertTrue(read > 0, "the system's table of pages ends early");
      }
    }
    LongBuffer flags = entries.flip().asLongBuffer();
    return LongStream.range(0, count).filter(i -> flags.get((int) i) >>> 62 != 0).count()
        * Workspace.PAGE_BYTES;
  }

  private static void fill(Scope frame) {
    frame.empty(DType.UINT8, FRAME).memory().fill((byte) 1);
  }

  @Test
  void pagesThatArePutAwayAndShrunkAreGivenBack() throws IOException {
    try (Workspace workspace = new Workspace(4 * FRAME)) {
      MemorySegment all = workspace.pages(0, 4 * FRAME);
      assertEquals(0, held(all));
      try (Scope first = workspace.open()) {
        long start = workspace.pageBoundary();
        fill(first);
        MemorySegment pages = workspace.pages(start, workspace.pageBoundary());
        try (Scope second = workspace.open()) {
          fill(second);
          assertEquals(2 * FRAME, held(all), TOLERANCE);
          workspace.putAway(pages);
          assertEquals(FRAME, held(all), TOLERANCE);
        }
        workspace.shrink(FRAME);
        assertEquals(0, held(all), TOLERANCE);
        workspace.bringBack(pages);
        pages.fill((byte) 2);
        assertEquals(FRAME, held(all), TOLERANCE);
        assertEquals(2 * FRAME, workspace.peakBytes());
      }
    }
  }

  @Test
  void memoryOfClosedFramesCountsUntilItIsGivenBack() {
    try (Workspace workspace = new Workspace(4 * FRAME)) {
      try (Scope first = workspace.open()) {
        long start = workspace.pageBoundary();
        first.empty(DType.UINT8, FRAME);
        MemorySegment pages = workspace.pages(start, workspace.pageBoundary());
        try (Scope second = workspace.open()) {
          workspace.putAway(pages);
          second.empty(DType.UINT8, 2 * FRAME);
          assertEquals(2 * FRAME, workspace.peakBytes());
        }
        workspace.bringBack(pages);
        assertTrue(workspace.peakBytes() >= 3 * FRAME, "nobody gave back what was on top");
      }
    }
  }
}
