package org.ftcluster.cli.chaos;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import org.ftcluster.cli.console.CommandException;
import org.ftcluster.cli.jvm.ChildJvm;

/**
 * A file system of limited size, in memory, mounted inside an {@link Enclosure}, with which it
 * goes.
 */
final class LimitedDisk implements Disk {
  private static final int CHUNK = 1 << 20;
  private static final int PAGE = 1 << 12;

  private final Path filler;

  /** Mounts it at an empty folder. */
  LimitedDisk(Path folder, long bytes) {
    Shell.run("mount", "-t", "tmpfs", "-o", "size=" + bytes, "tmpfs", folder.toString());
    filler = folder.resolve(".filler");
  }

  @Override
  public void fill() {
    for (int size : new int[] {CHUNK, PAGE}) {
      try (OutputStream output =
          Files.newOutputStream(
              filler,
              java.nio.file.StandardOpenOption.CREATE,
              java.nio.file.StandardOpenOption.APPEND)) {
        byte[] zeros = new byte[size];
        while (true) {
          output.write(zeros);
        }
      } catch (IOException e) {
        // No space left: that is what was wanted.
      }
    }
  }

  @Override
  public void joined(ChildJvm worker) {}

  @Override
  public void free() {
    try {
      Files.deleteIfExists(filler);
    } catch (IOException e) {
      throw CommandException.failed("the disk can't be emptied: " + e).because(e);
    }
  }
}
