package org.ftcluster.worker.checkpoint;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import java.util.zip.CRC32C;

/** Checksums of files and of memory. */
public final class Checksums {
  /** A ByteBuffer holds no more than an int counts. */
  private static final long CHUNK_BYTES = 1L << 30;

  private Checksums() {}

  /** SHA-256 in hexadecimal. */
  public static String sha256(Path file) throws IOException {
    MessageDigest digest = sha256();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment bytes = map(file, arena);
      for (long at = 0; at < bytes.byteSize(); at += CHUNK_BYTES) {
        digest.update(chunk(bytes, at).asByteBuffer());
      }
    }
    return HexFormat.of().formatHex(digest.digest());
  }

  static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("SHA-256 is part of every JDK", e);
    }
  }

  /**
   * CRC-32C over several pieces of memory, one after the other: as many gigabytes a second as
   * memory gives.
   */
  public static long crc32c(List<MemorySegment> pieces) {
    CRC32C crc = new CRC32C();
    for (MemorySegment piece : pieces) {
      for (long at = 0; at < piece.byteSize(); at += CHUNK_BYTES) {
        crc.update(chunk(piece, at).asByteBuffer());
      }
    }
    return crc.getValue();
  }

  private static MemorySegment chunk(MemorySegment bytes, long at) {
    return bytes.asSlice(at, Math.min(CHUNK_BYTES, bytes.byteSize() - at));
  }

  private static MemorySegment map(Path file, Arena arena) throws IOException {
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
      return channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size(), arena);
    }
  }
}
