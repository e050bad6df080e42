package org.ftcluster.worker.tensor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

/** What a workspace counts is what the process holds. */
class WorkspaceTest {
  private static final long FRAME = 64 << 20;

  /** Of the process, for all else that goes on in it. */
  private static final long TOLERANCE = 16 << 20;

  private static long held() throws IOException {
    return Files.readAllLines(Path.of("/proc/self/status")).stream()
        .filter(line -> line.startsWith("RssAnon:"))
        .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")) * 1024)
        .findFirst()
        .orElseThrow();
  }

  private static void fill(Scope frame) {
    frame.empty(DType.UINT8, FRAME).memory().fill((byte) 1);
  }

  @Test
  void pagesThatArePutAwayAndShrunkAreGivenBack() throws IOException {
    try (Workspace workspace = new Workspace(4 * FRAME)) {
      long before = held();
      try (Scope first = workspace.open()) {
        long start = workspace.pageBoundary();
        fill(first);
        MemorySegment pages = workspace.pages(start, workspace.pageBoundary());
        try (Scope second = workspace.open()) {
          fill(second);
          assertEquals(2 * FRAME, held() - before, TOLERANCE);
          workspace.putAway(pages);
          assertEquals(FRAME, held() - before, TOLERANCE);
        }
        workspace.shrink(FRAME);
        assertEquals(0, held() - before, TOLERANCE);
        workspace.bringBack(pages);
        pages.fill((byte) 2);
        assertEquals(FRAME, held() - before, TOLERANCE);
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
