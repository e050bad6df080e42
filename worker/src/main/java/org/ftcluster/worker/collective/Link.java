package org.ftcluster.worker.collective;

import java.io.IOException;
import java.net.SocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.List;
import java.util.Queue;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The two connections to one peer. {@code data} carries the bytes of operations in the order in
 * which both sides queue them. {@code control} is silent until the peer leaves or aborts, and so is
 * always watched: that its end comes without a word means that the peer is lost.
 *
 * <p>Touched by the I/O thread alone, except {@link #isWaiting}.
 */
final class Link {
  private static final Logger log = LoggerFactory.getLogger(Link.class);
  private static final byte ABORT = 1;
  private static final byte LEAVE = 2;
  private static final int CONTROL_BYTES = 1024;

  /** Buffers given to one gathering write. */
  private static final int WRITE_BATCH = 16;

  private final int peer;
  private final SocketChannel data;
  private final SocketChannel control;
  private final SocketAddress address;
  private final Queue<Transfer> outgoing = new ArrayDeque<>();
  private final Queue<Transfer> incoming = new ArrayDeque<>();
  private final ByteBuffer controlInput = ByteBuffer.allocate(CONTROL_BYTES);
  private volatile boolean waiting;
  private boolean peerHasLeft;

  Link(int peer, SocketChannel data, SocketChannel control) throws IOException {
    this.peer = peer;
    this.data = data;
    this.control = control;
    this.address = data.getRemoteAddress();
  }

  void register(Selector selector) throws IOException {
    data.configureBlocking(false);
    control.configureBlocking(false);
    data.register(selector, 0, this);
    control.register(selector, SelectionKey.OP_READ, this);
  }

  List<SocketChannel> channels() {
    return List.of(data, control);
  }

  int peer() {
    return peer;
  }

  /** Whether bytes to or from this peer are outstanding. Any thread may ask. */
  boolean isWaiting() {
    return waiting;
  }

  void send(Transfer transfer) {
    outgoing.add(transfer);
  }

  void receive(Transfer transfer) {
    incoming.add(transfer);
  }

  /**
   * Moves as many bytes as the sockets take and hold at the moment.
   *
   * @return whether anything moved
   */
  boolean progress() throws IOException {
    try {
      return moveBytes();
    } catch (IOException e) {
      readControl();
      throw lost(String.valueOf(e.getMessage()), e);
    }
  }

  private boolean moveBytes() throws IOException {
    boolean progressed = complete(outgoing);
    progressed |= complete(incoming);
    if (!outgoing.isEmpty()) {
      progressed |= write();
    }
    if (!incoming.isEmpty()) {
      progressed |= read();
    }
    waiting = !outgoing.isEmpty() || !incoming.isEmpty();
    return progressed;
  }

  private boolean write() throws IOException {
    ByteBuffer[] batch = new ByteBuffer[Math.min(WRITE_BATCH, outgoing.size())];
    int count = 0;
    for (Transfer transfer : outgoing) {
      ByteBuffer piece = transfer.piece();
      if (piece != null) {
        batch[count++] = piece;
      }
      if (count == batch.length) {
        break;
      }
    }
    long written = data.write(batch, 0, count);
    complete(outgoing);
    return written > 0;
  }

  private boolean read() throws IOException {
    ByteBuffer piece = incoming.element().piece();
    int count = piece == null ? 0 : data.read(piece);
    if (count < 0) {
      readControl();
      throw lost(peerHasLeft ? "it has left the generation" : "it closed the connection", null);
    }
    complete(incoming);
    return count > 0;
  }

  private static boolean complete(Queue<Transfer> queue) {
    boolean completed = false;
    while (!queue.isEmpty() && queue.element().piece() == null) {
      queue.remove().complete();
      completed = true;
    }
    return completed;
  }

  /** Asks the selector for what the queues wait for. */
  void updateInterest(Selector selector) {
    int interest =
        (outgoing.isEmpty() ? 0 : SelectionKey.OP_WRITE)
            | (incoming.isEmpty() ? 0 : SelectionKey.OP_READ);
    data.keyFor(selector).interestOps(interest);
  }

  boolean isControl(SelectionKey key) {
    return control.equals(key.channel());
  }

  /**
   * Takes in what the peer has to say.
   *
   * @throws CollectiveException when it aborted, or is lost
   */
  void readControl() throws IOException {
    if (peerHasLeft) {
      return;
    }
    boolean ended = false;
    try {
      ended = control.read(controlInput) < 0;
    } catch (IOException e) {
      throw lost(String.valueOf(e.getMessage()), e);
    }
    ByteBuffer frame = controlInput.duplicate().flip();
    if (frame.remaining() >= 3 && frame.remaining() - 3 >= frame.getShort(1)) {
      byte kind = frame.get();
      byte[] text = new byte[frame.getShort()];
      frame.get(text);
      if (kind == ABORT) {
        throw new CollectiveException(
            "rank %d ended the generation: %s"
                .formatted(peer, new String(text, StandardCharsets.UTF_8)));
      }
      peerHasLeft = true;
      control.close();
    } else if (ended) {
      throw lost("it closed the connection", null);
    }
  }

  /** Tells the peer why this rank ends, as far as its socket takes it, and closes. */
  void close(@Nullable String abortReason) {
    byte[] text = abortReason == null ? new byte[0] : abortReason.getBytes(StandardCharsets.UTF_8);
    byte[] reason = Arrays.copyOf(text, Math.min(text.length, CONTROL_BYTES - 3));
    ByteBuffer frame =
        ByteBuffer.allocate(3 + reason.length)
            .put(abortReason == null ? LEAVE : ABORT)
            .putShort((short) reason.length)
            .put(reason)
            .flip();
    if (control.isOpen()) {
      try {
        control.write(frame);
      } catch (IOException e) {
        log.debug("rank {} could not be told: {}", peer, e.getMessage());
      }
    }
    Sockets.close(control);
    Sockets.close(data);
  }

  private CollectiveException lost(String why, @Nullable IOException cause) {
    return new CollectiveException("lost rank %d (%s): %s".formatted(peer, address, why), cause);
  }
}
