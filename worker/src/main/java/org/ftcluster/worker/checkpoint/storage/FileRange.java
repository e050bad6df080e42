package org.ftcluster.worker.checkpoint.storage;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;

/** Some bytes of a file, whose channel's own position it leaves alone. */
final class FileRange extends InputStream {
  private final FileChannel channel;
  private final Path file;
  private final long end;
  private long position;

  FileRange(FileChannel channel, Path file, long begin, long bytes) {
    this.channel = channel;
    this.file = file;
    this.position = begin;
    this.end = begin + bytes;
  }

  @Override
  public int read() throws IOException {
    byte[] one = new byte[1];
    return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
  }

  @Override
  public int read(byte[] target, int offset, int length) throws IOException {
    if (position == end) {
      return -1;
    }
    int wanted = (int) Math.min(length, end - position);
    int read = channel.read(ByteBuffer.wrap(target, offset, wanted), position);
    if (read < 0) {
      throw new IOException(file + " has become shorter");
    }
    position += read;
    return read;
  }
}
