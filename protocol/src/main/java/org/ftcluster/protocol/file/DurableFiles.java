package org.ftcluster.protocol.file;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;

/**
 * Writes files so that a crash, or a full disk, leaves either the old file or the new one, whole.
 *
 * <p>Content goes to a sibling file first, is synced, takes the target's name by an atomic rename,
 * and the folder is synced: once a call has returned, the new file is there after a power cut, too.
 */
public final class DurableFiles {
  /** Ends the names of files and folders that are being written. */
  public static final String PARTIAL_SUFFIX = ".partial";

  private DurableFiles() {}

  /** Puts a file's content into an empty channel, at position 0. */
  @FunctionalInterface
  public interface Content {
    void writeTo(FileChannel channel) throws IOException;
  }

  /** Replaces {@code target}; on failure it stays what it was, and nothing is left beside it. */
  public static void write(Path target, Content content) throws IOException {
    Path partial = partial(target);
    try {
      try (FileChannel channel =
          FileChannel.open(
              partial,
              StandardOpenOption.CREATE,
              StandardOpenOption.WRITE,
              StandardOpenOption.TRUNCATE_EXISTING)) {
        content.writeTo(channel);
        channel.force(true);
      }
      move(partial, target);
    } finally {
      Files.deleteIfExists(partial);
    }
  }

  /** Replaces {@code target} by {@code text} in UTF-8. */
  public static void write(Path target, String text) throws IOException {
    write(target, channel -> writeFully(channel, text.getBytes(StandardCharsets.UTF_8)));
  }

  /**
   * Renames a file over {@code target}, or a folder to a name that is free, and syncs the folder it
   * stands in. Whatever is inside {@code source} must be synced already.
   */
  public static void move(Path source, Path target) throws IOException {
    Files.move(source, target, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    syncDirectory(folderOf(target));
  }

  /** Makes what was created, renamed or deleted in {@code folder} durable. */
  public static void syncDirectory(Path folder) throws IOException {
    try (FileChannel channel = FileChannel.open(folder, StandardOpenOption.READ)) {
      channel.force(true);
    }
  }

  /** The sibling under whose name {@code target} is written before it is whole. */
  public static Path partial(Path target) {
    return target.resolveSibling(target.getFileName() + PARTIAL_SUFFIX);
  }

  /** Writes all of {@code bytes} at the channel's position. */
  public static void writeFully(FileChannel channel, byte[] bytes) throws IOException {
    writeFully(channel, ByteBuffer.wrap(bytes));
  }

  /** Writes what remains of {@code buffer} at the channel's position. */
  public static void writeFully(FileChannel channel, ByteBuffer buffer) throws IOException {
    while (buffer.hasRemaining()) {
      channel.write(buffer);
    }
  }

  private static Path folderOf(Path file) {
    Path parent = file.toAbsolutePath().getParent();
    if (parent == null) {
      throw new IllegalArgumentException(file + " stands in no folder");
    }
    return parent;
  }
}
