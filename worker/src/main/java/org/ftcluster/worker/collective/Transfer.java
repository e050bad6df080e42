package org.ftcluster.worker.collective;

import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.Queue;
import org.jspecify.annotations.Nullable;

/**
 * Bytes on their way to or from one peer, in pieces that may go over several sockets. Touched by
 * the I/O thread alone.
 */
final class Transfer {
  /** A {@link ByteBuffer} can't be longer than 2 GiB: longer segments go in pieces. */
  private static final long PIECE_BYTES = 1L << 30;

  /** What no socket has got yet. */
  private final Queue<ByteBuffer> rest = new ArrayDeque<>();

  /** What sockets have got. */
  private final Queue<ByteBuffer> taken = new ArrayDeque<>();

  private final Runnable whenDone;
  private boolean done;

  private Transfer(Runnable whenDone) {
    this.whenDone = whenDone;
  }

  static Transfer of(ByteBuffer buffer) {
    return of(buffer, () -> {});
  }

  static Transfer of(MemorySegment segment) {
    return of(segment, () -> {});
  }

  static Transfer of(ByteBuffer buffer, Runnable whenDone) {
    Transfer transfer = new Transfer(whenDone);
    transfer.rest.add(buffer);
    return transfer;
  }

  static Transfer of(MemorySegment segment, Runnable whenDone) {
    Transfer transfer = new Transfer(whenDone);
    for (long at = 0; at < segment.byteSize(); at += PIECE_BYTES) {
      long bytes = Math.min(PIECE_BYTES, segment.byteSize() - at);
      transfer.rest.add(segment.asSlice(at, bytes).asByteBuffer());
    }
    return transfer;
  }

  /** The next bytes, at most so many, for a socket; {@code null} once all are taken. */
  @Nullable ByteBuffer take(int most) {
    while (!rest.isEmpty() && !rest.element().hasRemaining()) {
      rest.remove();
    }
    ByteBuffer bytes = rest.peek();
    if (bytes == null) {
      return null;
    }
    ByteBuffer piece = bytes.slice(bytes.position(), Math.min(most, bytes.remaining()));
    bytes.position(bytes.position() + piece.remaining());
    taken.add(piece);
    return piece;
  }

  /** Whether nothing is left of what was taken. */
  boolean isThrough() {
    while (!taken.isEmpty() && !taken.element().hasRemaining()) {
      taken.remove();
    }
    return taken.isEmpty();
  }

  /** Whether these bytes, and all that were queued before them, have gone through. */
  boolean isDone() {
    return done;
  }

  /** Called by the link, once, when nothing is left to do. */
  void complete() {
    done = true;
    whenDone.run();
  }
}
