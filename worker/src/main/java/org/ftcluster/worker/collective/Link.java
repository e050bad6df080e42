package org.ftcluster.worker.collective;

import java.io.IOException;
import java.net.Socket;
import java.net.SocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The connections to one peer. {@code data}, one socket or several, carry the bytes of operations
 * in the order in which both sides queue them. {@code control} carries signs of life until the peer
 * leaves or aborts, and so is always watched: that it ends without a word, or falls silent, means
 * that the peer is lost.
 *
 * <p>Touched by the I/O thread alone, except {@link #isWaiting}.
 */
final class Link {
  private static final Logger log = LoggerFactory.getLogger(Link.class);
  private static final byte ABORT = 1;
  private static final byte LEAVE = 2;

  /** All of its frame; the others go on with a length and a text. */
  static final byte BEAT = 3;

  private static final int CONTROL_BYTES = 1024;

  private final int peer;
  private final List<Lane> data;
  private final Lane control;
  private final SocketAddress address;
  private final Stripes outgoing;
  private final Stripes incoming;
  private final ByteBuffer controlInput = ByteBuffer.allocate(CONTROL_BYTES);

  /** A sign of life that the socket may not have taken yet. */
  private ByteBuffer beat = ByteBuffer.allocate(0);

  private volatile boolean waiting;
  private boolean peerHasLeft;
  private boolean heard;
  private long heardNs = System.nanoTime();

  /**
   * @param data in the same order on both sides
   */
  Link(int peer, List<Lane> data, Lane control) throws IOException {
    this.peer = peer;
    this.data = List.copyOf(data);
    this.control = control;
    this.address = control.socket().getRemoteAddress();
    this.outgoing = new Stripes(data.size());
    this.incoming = new Stripes(data.size());
  }

  void register(Selector selector) throws IOException {
    for (Lane lane : data) {
      lane.socket().configureBlocking(false);
      lane.socket().register(selector, 0, this);
    }
    control.socket().configureBlocking(false);
    control.socket().register(selector, SelectionKey.OP_READ, this);
  }

  List<Lane> lanes() {
    return Stream.concat(data.stream(), Stream.of(control)).toList();
  }

  int peer() {
    return peer;
  }

  /**
   * Whether the peer is on another machine, as far as addresses tell, and nobody between can read
   * what goes there.
   */
  boolean isEncryptedBetweenMachines() {
    Socket socket = control.socket().socket();
    return control.isEncrypted() && !socket.getInetAddress().equals(socket.getLocalAddress());
  }

  /** That carry the bytes of operations. */
  int sockets() {
    return data.size();
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
      throw lost(Sockets.reason(e), e);
    }
  }

  private boolean moveBytes() throws IOException {
    boolean progressed = outgoing.complete() | incoming.complete();
    for (int socket = 0; socket < data.size(); socket++) {
      progressed |= write(socket) | read(socket);
    }
    outgoing.complete();
    incoming.complete();
    waiting = !outgoing.isEmpty() || !incoming.isEmpty();
    return progressed;
  }

  private boolean write(int socket) throws IOException {
    return !outgoing.isEmpty(socket) && data.get(socket).write(outgoing.next(socket)) > 0;
  }

  private boolean read(int socket) throws IOException {
    long count = incoming.isEmpty(socket) ? 0 : data.get(socket).read(incoming.next(socket));
    if (count < 0) {
      readControl();
      throw lost(peerHasLeft ? "it has left the generation" : "it closed the connection", null);
    }
    if (count > 0) {
      hear();
    }
    return count > 0;
  }

  /** Whoever sends anything is at work, and gives signs of life from then on. */
  private void hear() {
    heard = true;
    heardNs = System.nanoTime();
  }

  /** Asks the selector for what the queues wait for. */
  void updateInterest(Selector selector) {
    for (int socket = 0; socket < data.size(); socket++) {
      int interest =
          (outgoing.isEmpty(socket) ? 0 : SelectionKey.OP_WRITE)
              | (incoming.isEmpty(socket) ? 0 : SelectionKey.OP_READ);
      data.get(socket).socket().keyFor(selector).interestOps(interest);
    }
  }

  boolean isControl(SelectionKey key) {
    return control.socket().equals(key.channel());
  }

  /** Gives the peer a sign of life. */
  void beat() throws IOException {
    if (peerHasLeft) {
      return;
    }
    try {
      if (!beat.hasRemaining()) {
        beat = ByteBuffer.wrap(new byte[] {BEAT});
      }
      control.write(beat);
    } catch (IOException e) {
      readControl(); // it may have said why
      if (!peerHasLeft) {
        throw lost(Sockets.reason(e), e);
      }
    }
  }

  /** Counts silence anew, from {@code nowNs}. */
  void forgive(long nowNs) {
    heardNs = nowNs;
  }

  /**
   * @throws CollectiveException when the peer has been silent for too long
   */
  void checkHeard(long nowNs) {
    Duration limit = heard ? Engine.SILENCE : Engine.FIRST_SILENCE;
    if (!peerHasLeft && nowNs - heardNs > limit.toNanos()) {
      throw lost("it gave no sign of life for %d s".formatted(limit.toSeconds()), null);
    }
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
    long count;
    try {
      do {
        count = control.read(controlInput);
        if (count > 0) {
          hear();
          takeFrames();
        }
      } while (count > 0 && !peerHasLeft);
    } catch (IOException e) {
      throw lost(Sockets.reason(e), e);
    }
    if (count < 0 && !peerHasLeft) {
      throw lost("it closed the connection", null);
    }
  }

  private void takeFrames() throws IOException {
    controlInput.flip();
    while (controlInput.hasRemaining() && !peerHasLeft) {
      int begin = controlInput.position();
      byte kind = controlInput.get();
      if (kind == BEAT) {
        continue;
      }
      if (controlInput.remaining() < Short.BYTES
          || controlInput.remaining() - Short.BYTES < controlInput.getShort(begin + 1)) {
        controlInput.position(begin); // the rest is yet to come
        break;
      }
      byte[] text = new byte[controlInput.getShort()];
      controlInput.get(text);
      if (kind == ABORT) {
        throw new CollectiveException(
            "rank %d ended the generation: %s"
                .formatted(peer, new String(text, StandardCharsets.UTF_8)));
      }
      peerHasLeft = true;
      control.close();
    }
    controlInput.compact();
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
    if (control.socket().isOpen()) {
      try {
        control.write(beat, frame);
      } catch (IOException e) {
        log.debug("rank {} could not be told: {}", peer, e.getMessage());
      }
    }
    lanes().forEach(Sockets::close);
  }

  private CollectiveException lost(String why, @Nullable IOException cause) {
    return new CollectiveException("lost rank %d (%s): %s".formatted(peer, address, why), cause);
  }
}
