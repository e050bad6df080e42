package org.ftcluster.protocol.file;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class DurableFilesTest {
  @TempDir Path folder;

  @Test
  void replacesAFile() throws IOException {
    Path file = folder.resolve("state");
    DurableFiles.write(file, "old");

    DurableFiles.write(file, "new");

    assertEquals("new", Files.readString(file));
    assertEquals(List.of(file), contents());
  }

  @Test
  void leavesTheOldFileWhenWritingFails() throws IOException {
    Path file = folder.resolve("state");
    DurableFiles.write(file, "old");

    IOException thrown =
        assertThrows(
            IOException.class,
            () ->
                DurableFiles.write(
                    file,
                    channel -> {
                      DurableFiles.writeFully(channel, new byte[] {1, 2, 3});
                      throw new IOException("No space left on device");
                    }));

    assertEquals("No space left on device", thrown.getMessage());
    assertEquals("old", Files.readString(file));
    assertEquals(List.of(file), contents());
  }

  @Test
  void writesOverWhatACrashLeftBehind() throws IOException {
    Path file = folder.resolve("state");
    Files.writeString(DurableFiles.partial(file), "half of a long old state");

    DurableFiles.write(file, "new");

    assertEquals("new", Files.readString(file));
    assertEquals(List.of(file), contents());
  }

  @Test
  void movesAFolder() throws IOException {
    Path partial = Files.createDirectory(folder.resolve("step-3.partial"));
    Files.writeString(partial.resolve("state"), "s");

    DurableFiles.move(partial, folder.resolve("step-3"));

    assertEquals("s", Files.readString(folder.resolve("step-3/state")));
  }

  private List<Path> contents() throws IOException {
    try (var entries = Files.list(folder)) {
      return entries.toList();
    }
  }
}
