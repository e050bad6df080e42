package org.ftcluster.worker.tensor;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Set;
import org.ftcluster.protocol.job.BadJobException;

/**
 * A file on a disk for what memory has no room for. It has no name, so that it is gone with the
 * process whatever ends that. May be used by several threads.
 */
public final class ScratchFile implements AutoCloseable {
  /** Bytes that are written or read at once. */
  private static final long PIECE = 64 << 20;

  private static final int ZEROS = 1 << 20;

  private static final Set<String> IN_MEMORY = Set.of("tmpfs", "ramfs");

  private final Path folder;
  private final String content;
  private final FileChannel channel;

  private ScratchFile(Path folder, String content, FileChannel channel) {
    this.folder = folder;
    this.content = content;
    this.channel = channel;
  }

  /**
   * An empty file.
   *
   * @param folder on a disk; made where it isn't there
   * @param content what is to be in it, in the plural, for messages
   * @throws BadJobException when there can be none
   */
  public static ScratchFile in(Path folder, String content) {
    try {
      Files.createDirectories(folder);
      if (!isOnDisk(folder)) {
        throw new BadJobException(
            "offload.path: %s is in memory itself; give a folder on a disk".formatted(folder));
      }
      Path name = Files.createTempFile(folder, "ftcluster-", ".scratch");
      FileChannel channel;
      try {
        channel = FileChannel.open(name, StandardOpenOption.READ, StandardOpenOption.WRITE);
      } finally {
        Files.delete(name);
      }
      return new ScratchFile(folder, content, channel);
    } catch (IOException e) {
      throw unwritten(folder, content, e);
    }
  }

  /** Whether a file there isn't in memory itself. */
  public static boolean isOnDisk(Path folder) throws IOException {
    return !IN_MEMORY.contains(Files.getFileStore(folder).type());
  }

  /**
   * Writes all of {@code memory}.
   *
   * @param at where in the file, in bytes
   * @throws BadJobException when the disk is full, or fails
   */
  public void write(MemorySegment memory, long at) {
    try {
      for (long from = 0; from < memory.byteSize(); from += PIECE) {
        ByteBuffer piece = piece(memory, from);
        while (piece.hasRemaining()) {
          channel.write(piece, at + from + piece.position());
        }
      }
    } catch (IOException e) {
      throw unwritten(folder, content, e);
    }
  }

  /**
   * Fills {@code memory}, as far as the file reaches.
   *
   * @param at where in the file, in bytes
   */
  public void read(MemorySegment memory, long at) {
    try {
      for (long from = 0; from < memory.byteSize(); from += PIECE) {
        ByteBuffer piece = piece(memory, from);
        while (piece.hasRemaining()) {
          if (channel.read(piece, at + from + piece.position()) < 0) {
            return;
          }
        }
      }
    } catch (IOException e) {
      throw new UncheckedIOException(
          "%s can't be read back from %s: %s".formatted(content, folder, e.getMessage()), e);
    }
  }

  /**
   * The file as memory: so many zeros, whose room on the disk is taken at once, since nobody could
   * be told later that there is none.
   *
   * @param arena how long the memory is there, also once the file is closed
   * @throws BadJobException when the disk is full, or fails
   */
  MemorySegment map(Arena arena, long bytes) {
    MemorySegment zeros = Arena.ofAuto().allocate(Math.min(bytes, ZEROS));
    for (long at = 0; at < bytes; at += ZEROS) {
      write(zeros.asSlice(0, Math.min(ZEROS, bytes - at)), at);
    }
    try {
      return channel.map(FileChannel.MapMode.READ_WRITE, 0, bytes, arena);
    } catch (IOException e) {
      throw unwritten(folder, content, e);
    }
  }

  private static ByteBuffer piece(MemorySegment memory, long from) {
    return memory.asSlice(from, Math.min(PIECE, memory.byteSize() - from)).asByteBuffer();
  }

  private static BadJobException unwritten(Path folder, String content, IOException e) {
    return new BadJobException(
        "offload.path: %s can't be written to %s: %s".formatted(content, folder, e.getMessage()),
        e);
  }

  @Override
  public void close() {
    try {
      channel.close();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
