package org.ftcluster.cli.chaos;

import java.io.IOException;
import java.net.StandardSocketOptions;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import org.ftcluster.cli.chaos.Cut.Direction;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One direction of a connection. What is sent while that is cut, its end included, is held back
 * until it no longer is, as TCP would: the sender notices nothing but a lack of answers.
 */
final class RelayedBytes {
  private static final Logger LOG = LoggerFactory.getLogger(RelayedBytes.class);
  private static final int CHUNK = 1 << 16;

  private final SocketChannel source;
  private final SocketChannel sink;
  private final Direction forth;
  private final Direction back;
  private final Cuts cuts;

  RelayedBytes(
      SocketChannel source, SocketChannel sink, Direction forth, Direction back, Cuts cuts) {
    this.source = source;
    this.sink = sink;
    this.forth = forth;
    this.back = back;
    this.cuts = cuts;
  }

  /** Returns when all was handed on, or one of the two is gone. */
  void run() {
    try {
      sink.setOption(StandardSocketOptions.TCP_NODELAY, true);
      ByteBuffer chunk = ByteBuffer.allocateDirect(CHUNK);
      while (read(chunk)) {
        cuts.awaitOpen(forth);
        if (!write(chunk)) {
          cuts.awaitOpen(back);
          reset(source);
          return;
        }
      }
    } catch (IOException e) {
      LOG.debug("not handed on: {}", e.toString());
    } catch (InterruptedException e) {
      reset(source);
      reset(sink);
    }
  }

  /** False at the end, which has been handed on. */
  private boolean read(ByteBuffer chunk) throws IOException, InterruptedException {
    try {
      if (source.read(chunk.clear()) >= 0) {
        chunk.flip();
        return true;
      }
    } catch (IOException e) {
      cuts.awaitOpen(forth);
      reset(sink);
      return false;
    }
    cuts.awaitOpen(forth);
    sink.shutdownOutput();
    return false;
  }

  /** False where nobody reads any more. */
  private boolean write(ByteBuffer chunk) {
    try {
      while (chunk.hasRemaining()) {
        sink.write(chunk);
      }
      return true;
    } catch (IOException e) {
      return false;
    }
  }

  /** As the kernel does for a process that is gone. */
  private static void reset(SocketChannel channel) {
    try (channel) {
      channel.setOption(StandardSocketOptions.SO_LINGER, 0);
    } catch (IOException e) {
      LOG.debug("closed already: {}", e.toString());
    }
  }
}
