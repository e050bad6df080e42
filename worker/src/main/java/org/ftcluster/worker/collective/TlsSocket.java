package org.ftcluster.worker.collective;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.ByteChannel;
import java.nio.channels.SocketChannel;
import java.time.Duration;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * What a {@link TlsLane}'s records go through: a socket that is patient while it blocks, and ends
 * so that nothing is lost.
 */
final class TlsSocket implements ByteChannel {
  /** As long as peers may take to end, too. */
  private static final Duration LINGER = Duration.ofSeconds(10);

  private static final Duration LOOK = Duration.ofMillis(10);
  private static final int SINK_BYTES = 4096;
  private static final int MOST_SINKS = 64;

  private final SocketChannel socket;
  private final AtomicBoolean closed = new AtomicBoolean();

  TlsSocket(SocketChannel socket) {
    this.socket = socket;
  }

  /** A blocking read of a channel waits forever; that of its stream for as long as it was told. */
  @Override
  public int read(ByteBuffer into) throws IOException {
    if (!socket.isBlocking()) {
      return socket.read(into);
    }
    byte[] bytes = new byte[into.remaining()];
    int count = socket.socket().getInputStream().read(bytes);
    if (count > 0) {
      into.put(bytes, 0, count);
    }
    return count;
  }

  @Override
  public int write(ByteBuffer from) throws IOException {
    return socket.write(from);
  }

  @Override
  public boolean isOpen() {
    return !closed.get() && socket.isOpen();
  }

  /**
   * Returns at once, when the socket may still be open. One that is closed with something unread in
   * it throws away what it has yet to send (RFC 2525, 2.17), and TLS has words of its own that
   * nobody reads: tickets, renewed keys, farewells. So these are read first, until the peer ends,
   * too.
   */
  @Override
  public void close() {
    if (!closed.compareAndSet(false, true)) {
      return;
    }
    if (socket.isBlocking() || hasPeerEnded()) {
      Sockets.close(socket); // Whoever shakes hands on it finds that out.
      return;
    }
    try {
      socket.shutdownOutput();
    } catch (IOException e) {
      Sockets.close(socket);
      return;
    }
    Thread.ofVirtual().name("farewell").start(this::linger);
  }

  private void linger() {
    long deadlineNs = System.nanoTime() + LINGER.toNanos();
    try {
      while (!hasPeerEnded() && System.nanoTime() < deadlineNs) {
        Thread.sleep(LOOK);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } finally {
      Sockets.close(socket);
    }
  }

  /** Reads what there is, for nobody. */
  private boolean hasPeerEnded() {
    ByteBuffer sink = ByteBuffer.allocate(SINK_BYTES);
    try {
      int count = 1;
      for (int i = 0; i < MOST_SINKS && count > 0; i++) {
        count = socket.read(sink.clear());
      }
      return count < 0;
    } catch (IOException e) {
      return true;
    }
  }
}
