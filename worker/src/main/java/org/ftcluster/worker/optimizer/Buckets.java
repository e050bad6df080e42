package org.ftcluster.worker.optimizer;

import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.ftcluster.worker.collective.CollectiveException;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.collective.Communicator.ElementType;
import org.ftcluster.worker.collective.Communicator.ReduceOp;
import org.ftcluster.worker.collective.Work;

/**
 * A buffer that is summed over all ranks in pieces, from its end on, each as soon as this rank has
 * it: a backward reaches the first layers last. Pieces are the same on all ranks, and so is their
 * order, so some may begin early and others late. A small buffer is one piece with its tail.
 */
final class Buckets {
  /** Bytes of a piece between hosts: few enough calls, and early enough. */
  static final long BYTES = 1 << 20;

  private final MemorySegment buffer;
  private final MemorySegment tail;
  private final MemorySegment whole;
  private final ElementType type;
  private final long pieceBytes;
  private final List<Work> underWay = new ArrayList<>();

  /** Bytes from the start that haven't been sent. */
  private long left;

  /**
   * @param whole a buffer, and behind it a tail, which is summed when everything else is there
   * @param bytes of the buffer
   */
  Buckets(MemorySegment whole, long bytes, ElementType type) {
    this(whole, bytes, type, BYTES);
  }

  /**
   * The same.
   *
   * @param pieceBytes of a piece: whole elements
   */
  Buckets(MemorySegment whole, long bytes, ElementType type, long pieceBytes) {
    this.whole = whole;
    this.pieceBytes = pieceBytes;
    this.buffer = whole.asSlice(0, bytes);
    this.tail = whole.asSlice(bytes);
    this.type = type;
  }

  /** Begins anew. */
  void start() {
    underWay.clear();
    left = buffer.byteSize();
  }

  /** Begins with whole pieces of what is there from element {@code from} on. */
  void send(Communicator ranks, long from) {
    if (buffer.byteSize() <= pieceBytes) {
      return;
    }
    while (left > 0) {
      long piece = (left - 1) / pieceBytes * pieceBytes;
      if (piece < from * type.bytes()) {
        return;
      }
      underWay.add(ranks.allReduce(buffer.asSlice(piece, left - piece), type, ReduceOp.SUM));
      left = piece;
    }
  }

  /** Elements from the start whose sum hasn't begun. */
  long unsent() {
    return left / type.bytes();
  }

  /** Sums the rest and the tail, and waits for all. */
  void finish(Communicator ranks, Duration timeout) {
    send(ranks, 0);
    MemorySegment rest = left == 0 ? tail : whole;
    if (rest.byteSize() > 0) {
      underWay.add(ranks.allReduce(rest, type, ReduceOp.SUM));
    }
    underWay.forEach(work -> work.await(timeout));
    underWay.clear();
  }

  /** Returns when nobody writes to the buffer any more; for a step that wasn't finished. */
  void letGo(Duration timeout) {
    letGo(underWay, timeout);
    underWay.clear();
  }

  /** Returns when no buffer of these is written to any more. */
  static void letGo(List<Work> works, Duration timeout) {
    for (Work work : works) {
      try {
        work.await(timeout);
      } catch (CollectiveException e) {
        // The step has failed already, and with it the communicator.
      }
    }
  }
}
