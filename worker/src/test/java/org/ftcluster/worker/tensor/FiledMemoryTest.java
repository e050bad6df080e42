package org.ftcluster.worker.tensor;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.stream.Stream;
import org.ftcluster.protocol.job.BadJobException;
import org.junit.jupiter.api.Test;

/** What lies in files without names. */
class FiledMemoryTest {
  private static final Path FOLDER = Path.of("target/scratch");

  /** More than two pieces, and no whole number of pages. */
  private static final long BYTES = 2 * FiledMemory.PIECE + 12_340;

  private static void assertNoFiles() throws IOException {
    try (Stream<Path> files = Files.list(FOLDER)) {
      assertEquals(0, files.count());
    }
  }

  @Test
  void isZeroAndKeepsWhatIsWrittenWhenItIsLetGo() throws IOException {
    try (Arena arena = Arena.ofShared()) {
      MemorySegment memory = FiledMemory.allocate(arena, FOLDER, "numbers", BYTES);
      assertNoFiles();
      assertTrue(FiledMemory.is(memory));
      assertArrayEquals(new byte[(int) BYTES], memory.toArray(ValueLayout.JAVA_BYTE));
      MemorySegment part = memory.asSlice(5000, 3 * Workspace.PAGE_BYTES);
      part.fill((byte) 7);

      FiledMemory.letGo(part);
      FiledMemory.ahead(part);

      byte[] expected = new byte[(int) BYTES];
      Arrays.fill(expected, 5000, 5000 + (int) part.byteSize(), (byte) 7);
      assertArrayEquals(expected, memory.toArray(ValueLayout.JAVA_BYTE));
    }
  }

  @Test
  void isCopiedToAndFromOtherMemory() {
    try (Arena arena = Arena.ofShared()) {
      MemorySegment plain = arena.allocate(BYTES);
      for (long at = 0; at < BYTES; at++) {
        plain.set(ValueLayout.JAVA_BYTE, at, (byte) (at * 31));
      }
      MemorySegment filed = FiledMemory.allocate(arena, FOLDER, "numbers", BYTES);
      FiledMemory.copy(plain, filed);
      assertEquals(-1, plain.mismatch(filed));

      MemorySegment back = arena.allocate(BYTES);
      FiledMemory.copy(filed, back);
      assertEquals(-1, plain.mismatch(back));
      FiledMemory.letGo(plain);
      assertFalse(FiledMemory.is(plain), "what is in memory stays there");
      assertEquals(-1, plain.mismatch(back));
    }
  }

  @Test
  void aFileHoldsWhatIsWrittenWhereItIsWritten() throws IOException {
    try (Arena arena = Arena.ofConfined();
        ScratchFile file = ScratchFile.in(FOLDER, "numbers")) {
      assertNoFiles();
      MemorySegment numbers = arena.allocateFrom(ValueLayout.JAVA_LONG, 3, 4, 5);
      file.write(numbers, 1000);
      MemorySegment read = arena.allocate(4 * Long.BYTES);
      file.read(read, 1008);
      assertArrayEquals(new long[] {4, 5, 0, 0}, read.toArray(ValueLayout.JAVA_LONG));
    }
  }

  @Test
  void whatCannotBeWrittenIsASentence() throws IOException {
    MemorySegment numbers = Arena.ofAuto().allocate(64);
    try (ScratchFile file = ScratchFile.in(FOLDER, "numbers")) {
      // No disk has as much.
      BadJobException full =
          assertThrows(BadJobException.class, () -> file.write(numbers, Long.MAX_VALUE - 64));
      assertEquals(
          "offload.path: numbers can't be written to target/scratch: File too large",
          full.getMessage());
    }
    assertNoFiles();
    if (Files.isDirectory(Path.of("/dev/shm"))) {
      assertEquals(
          "offload.path: /dev/shm is in memory itself; give a folder on a disk",
          assertThrows(BadJobException.class, () -> ScratchFile.in(Path.of("/dev/shm"), "numbers"))
              .getMessage());
    }
  }
}
