package org.ftcluster.worker.collective;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.util.Arrays;
import org.ftcluster.protocol.security.Credentials;
import org.jspecify.annotations.Nullable;
import tlschannel.ClientTlsChannel;
import tlschannel.ServerTlsChannel;
import tlschannel.TlsChannel;
import tlschannel.WouldBlockException;

/** Bytes that go encrypted, between ends that have shown each other that they are members. */
final class TlsLane implements Lane {
  /** Moved by one call in one direction, so that the other isn't forgotten over it. */
  private static final int MOST = 256 << 10;

  private static final ByteBuffer[] NOTHING = {};

  private final SocketChannel socket;
  private final TlsChannel channel;

  /** Bytes at the head of what is to be written whose record the socket hasn't taken as a whole. */
  private long encrypted;

  /** What a read has met behind bytes that it returned. */
  private @Nullable IOException pending;

  private TlsLane(SocketChannel socket, TlsChannel channel) {
    this.socket = socket;
    this.channel = channel;
  }

  /** For whoever has called. */
  static TlsLane ofCaller(SocketChannel socket, Credentials own) {
    return new TlsLane(
        socket,
        ClientTlsChannel.newBuilder(new TlsSocket(socket), own.callerEngine())
            .withReleaseBuffers(false)
            .build());
  }

  /** For whoever was called. */
  static TlsLane ofCalled(SocketChannel socket, Credentials own) {
    return new TlsLane(
        socket,
        ServerTlsChannel.newBuilder(new TlsSocket(socket), own.context())
            .withEngineFactory(_ -> own.calledEngine())
            .withReleaseBuffers(false)
            .build());
  }

  @Override
  public SocketChannel socket() {
    return socket;
  }

  @Override
  public boolean isEncrypted() {
    return true;
  }

  @Override
  public InputStream in() {
    return Channels.newInputStream(channel);
  }

  @Override
  public OutputStream out() {
    return Channels.newOutputStream(channel);
  }

  /**
   * Bytes stay in their buffers until the socket has their whole record, so that there is something
   * to write for as long as there is something to send.
   */
  @Override
  public long write(ByteBuffer... from) throws IOException {
    long sent = 0;
    if (encrypted > 0) {
      if (!flush()) {
        return 0;
      }
      sent = encrypted;
      encrypted = 0;
      skip(from, sent);
    }
    ByteBuffer[] head = head(from);
    try {
      channel.write(head);
    } catch (WouldBlockException e) {
      encrypted = moved(head);
      return sent;
    }
    long written = moved(head);
    skip(from, written);
    return sent + written;
  }

  private boolean flush() throws IOException {
    try {
      channel.write(NOTHING);
      return true;
    } catch (WouldBlockException e) {
      return false;
    }
  }

  @Override
  public long read(ByteBuffer... into) throws IOException {
    if (pending != null) {
      throw pending;
    }
    ByteBuffer[] head = head(into);
    boolean ended = false;
    try {
      while (!ended && hasRoom(head)) {
        ended = channel.read(head) < 0;
      }
    } catch (WouldBlockException e) {
      // That is all for now.
    } catch (IOException e) {
      pending = e; // The library has no other words for it from here on than that it is closed.
      if (moved(head) == 0) {
        throw e;
      }
    }
    long read = moved(head);
    skip(into, read);
    return ended && read == 0 ? -1 : read;
  }

  /** The same bytes, with positions of their own, as far as one call goes. */
  private static ByteBuffer[] head(ByteBuffer[] buffers) {
    ByteBuffer[] head = new ByteBuffer[buffers.length];
    int left = MOST;
    for (int i = 0; i < buffers.length; i++) {
      int bytes = Math.min(left, buffers[i].remaining());
      head[i] = buffers[i].slice(buffers[i].position(), bytes);
      left -= bytes;
    }
    return head;
  }

  private static long moved(ByteBuffer[] head) {
    return Arrays.stream(head).mapToLong(ByteBuffer::position).sum();
  }

  private static void skip(ByteBuffer[] buffers, long bytes) {
    long left = bytes;
    for (ByteBuffer buffer : buffers) {
      int here = (int) Math.min(left, buffer.remaining());
      buffer.position(buffer.position() + here);
      left -= here;
    }
  }

  private static boolean hasRoom(ByteBuffer[] head) {
    for (ByteBuffer buffer : head) {
      if (buffer.hasRemaining()) {
        return true;
      }
    }
    return false;
  }

  /**
   * Says farewell as TLS does, as far as the socket takes it; that ends as {@link TlsSocket} does.
   */
  @Override
  public void close() throws IOException {
    channel.close();
  }
}
