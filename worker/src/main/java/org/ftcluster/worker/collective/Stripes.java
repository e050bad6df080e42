package org.ftcluster.worker.collective;

import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.Queue;

/**
 * What goes over a link in one direction: transfers one after the other, whose bytes are dealt to
 * the link's sockets in stripes, in turn. Which socket a byte takes follows from its place among
 * all bytes of the direction, so both sides agree, though they may cut these into other transfers.
 *
 * <p>Touched by the I/O thread alone.
 */
final class Stripes {
  /** Few calls of the system, and all sockets at work on what is a few times as long. */
  static final int BYTES = 128 << 10;

  /** Buffers given to one call of the system. */
  private static final int BATCH = 16;

  private final Queue<Transfer> transfers = new ArrayDeque<>();

  /** By socket. */
  private final List<Queue<ByteBuffer>> pieces = new ArrayList<>();

  /** Bytes that sockets have got, or had. */
  private long dealt;

  Stripes(int sockets) {
    for (int socket = 0; socket < sockets; socket++) {
      pieces.add(new ArrayDeque<>());
    }
  }

  void add(Transfer transfer) {
    transfers.add(transfer);
    for (ByteBuffer piece = transfer.take(left()); piece != null; piece = transfer.take(left())) {
      pieces.get((int) (dealt / BYTES % pieces.size())).add(piece);
      dealt += piece.remaining();
    }
  }

  /** Bytes up to the end of the stripe at hand. */
  private int left() {
    return pieces.size() == 1 ? Integer.MAX_VALUE : BYTES - (int) (dealt % BYTES);
  }

  /** Whether nothing is outstanding. */
  boolean isEmpty() {
    return transfers.isEmpty();
  }

  /** What a socket is to move next, in this order; may be nothing. */
  ByteBuffer[] next(int socket) {
    return pieces.get(socket).stream().limit(BATCH).toArray(ByteBuffer[]::new);
  }

  boolean isEmpty(int socket) {
    return pieces.get(socket).isEmpty();
  }

  /**
   * Completes, in their order, the transfers of which nothing is left.
   *
   * @return whether there were any
   */
  boolean complete() {
    for (Queue<ByteBuffer> queue : pieces) {
      while (!queue.isEmpty() && !queue.element().hasRemaining()) {
        queue.remove();
      }
    }
    boolean completed = false;
    while (!transfers.isEmpty() && transfers.element().isThrough()) {
      transfers.remove().complete();
      completed = true;
    }
    return completed;
  }
}
