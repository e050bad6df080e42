package org.ftcluster.worker.collective;

import java.io.Closeable;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.util.function.BiFunction;
import org.ftcluster.protocol.security.Credentials;
import org.ftcluster.protocol.security.Protection;

/**
 * A connection between two ranks. It begins as a pair of streams, for the {@link Handshake}, on
 * which a peer that keeps silent is given up after {@link java.net.Socket#setSoTimeout}; once its
 * socket no longer blocks, bytes are moved as far as it goes at the moment.
 *
 * <p>Of one thread at a time.
 */
interface Lane extends Closeable {
  /** For whoever has called. */
  static Lane ofCaller(SocketChannel socket, Protection protection) {
    return of(socket, protection, TlsLane::ofCaller);
  }

  /** For whoever was called. */
  static Lane ofCalled(SocketChannel socket, Protection protection) {
    return of(socket, protection, TlsLane::ofCalled);
  }

  private static Lane of(
      SocketChannel socket,
      Protection protection,
      BiFunction<SocketChannel, Credentials, Lane> encrypted) {
    return protection
        .credentials()
        .map(own -> encrypted.apply(socket, own))
        .orElseGet(() -> new PlainLane(socket));
  }

  SocketChannel socket();

  boolean isEncrypted();

  InputStream in() throws IOException;

  OutputStream out() throws IOException;

  /**
   * Takes the bytes that the socket takes now; what it doesn't stays in the buffers, which must
   * come first in the next call, too.
   *
   * @return how many there were
   */
  long write(ByteBuffer... from) throws IOException;

  /**
   * Fills the buffers with what has come.
   *
   * @return how many bytes that is; -1 at the end
   */
  long read(ByteBuffer... into) throws IOException;
}
