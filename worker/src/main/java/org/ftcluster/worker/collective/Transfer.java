package org.ftcluster.worker.collective;

import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.Queue;
import org.jspecify.annotations.Nullable;

/** Bytes on their way to or from one peer. Touched by the I/O thread alone. */
final class Transfer {
  /** A {@link ByteBuffer} can't be longer than 2 GiB: longer segments go in pieces. */
  private static final long PIECE_BYTES = 1L << 30;

  private final Queue<ByteBuffer> pieces = new ArrayDeque<>();
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
    transfer.pieces.add(buffer);
    return transfer;
  }

  static Transfer of(MemorySegment segment, Runnable whenDone) {
    Transfer transfer = new Transfer(whenDone);
    for (long at = 0; at < segment.byteSize(); at += PIECE_BYTES) {
      long bytes = Math.min(PIECE_BYTES, segment.byteSize() - at);
      transfer.pieces.add(segment.asSlice(at, bytes).asByteBuffer());
    }
    return transfer;
  }

  /** The piece at hand; {@code null} once all have gone through. */
  @Nullable ByteBuffer piece() {
    while (!pieces.isEmpty() && !pieces.element().hasRemaining()) {
      pieces.remove();
    }
    return pieces.peek();
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
