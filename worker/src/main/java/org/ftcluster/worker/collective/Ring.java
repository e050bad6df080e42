package org.ftcluster.worker.collective;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.List;
import org.ftcluster.worker.collective.Communicator.ElementType;
import org.ftcluster.worker.collective.Communicator.ReduceOp;

/**
 * The collectives, as streams of chunks around the ring of ranks: each rank sends to the next and
 * receives from the one before. A chunk is passed on as soon as it is there, so that all links are
 * busy at the same time, and a buffer crosses each link about twice (reduction) or once, whatever
 * the number of ranks.
 *
 * <p>A long buffer goes around piece by piece, so that of all that is on its way most is in the
 * cache, in the kernel's buffers as well as in ours, and what is passed on doesn't stand in line
 * behind the rest. Networks with much on their way want more sockets.
 *
 * <p>Every element is reduced along one path around the ring and then handed out, so all ranks get
 * the same bits, and the same bits each time that the number of ranks is the same.
 *
 * <p>Runs on the engine's thread. Ranks here are places in the ring: those of a group, where the
 * ring is a group's.
 */
final class Ring {
  /** Small enough to stay in the cache between the socket and the reduction. */
  private static final long CHUNK_BYTES = 128 << 10;

  /** For each socket, what of each rank's part goes around at once. */
  private static final long SOCKET_BYTES = 256 << 10;

  private final Engine engine;
  private final List<Integer> members;
  private final int rank;
  private final int size;
  private final Link next;
  private final Link previous;
  private final long pieceBytes;

  /** Where a chunk to be reduced arrives, and a word for barriers. */
  private final MemorySegment chunk = Arena.ofAuto().allocate(CHUNK_BYTES + Long.BYTES, 64);

  /** Room for partial sums, taken when it is needed. */
  private final MemorySegment[] sums = {MemorySegment.NULL, MemorySegment.NULL};

  /**
   * @param members at least two ranks of the generation, this one among them, in the ring's order
   */
  Ring(Engine engine, List<Integer> members) {
    this.engine = engine;
    this.members = members;
    this.rank = members.indexOf(engine.rank());
    this.size = members.size();
    this.next = engine.link(members.get((rank + 1) % size));
    this.previous = engine.link(members.get((rank + size - 1) % size));
    this.pieceBytes = SOCKET_BYTES * next.sockets();
  }

  /**
   * For size - 1 steps the partial sum of a part comes in, gets this rank's share, and goes on; the
   * part that is complete then is the first of another size - 1 that come in to stay.
   */
  void allReduce(Header header, MemorySegment buffer, ElementType type, ReduceOp op)
      throws IOException {
    Transfer opened = openBoth(header);
    long longest = Math.ceilDiv(buffer.byteSize() / type.bytes(), (long) size) * type.bytes();
    int steps = 2 * (size - 1);
    Transfer sent = sendOn(pieceOf(part(buffer, type, rank), 0));
    for (long at = 0; at < longest; at += pieceBytes) {
      for (int step = 0; step < steps; step++) {
        boolean last = step == steps - 1;
        if (last) {
          // Nothing goes on from here, and the link isn't to wait.
          sent = sendOn(pieceOf(part(buffer, type, rank), at + pieceBytes));
        }
        MemorySegment piece = pieceOf(part(buffer, type, rank - step - 1), at);
        for (long in = 0; in < piece.byteSize(); in += CHUNK_BYTES) {
          MemorySegment own = chunkOf(piece, in);
          if (step < size - 1) {
            MemorySegment received = chunk.asSlice(0, own.byteSize());
            receive(received);
            Reduction.reduce(own, received, type, op);
          } else {
            // The total can only be here because this rank's share of it has long left.
            receive(own);
          }
          if (!last) {
            sent = sendOn(own);
          }
        }
      }
    }
    engine.await(opened);
    engine.await(sent);
  }

  /** Along the ring from the rank behind the root to the root, as partial sums. */
  void reduce(Header header, MemorySegment buffer, ElementType type, ReduceOp op, int root)
      throws IOException {
    if (previous.peer() == members.get(root)) {
      openNext(header);
      engine.await(sendOn(buffer));
      return;
    }
    boolean last = rank == root;
    Transfer opened = openPrevious(header);
    Transfer sent = last ? opened : openNext(header);
    for (long at = 0; at < buffer.byteSize(); at += CHUNK_BYTES) {
      MemorySegment own = chunkOf(buffer, at);
      MemorySegment received = chunk.asSlice(0, own.byteSize());
      receive(received);
      Reduction.reduce(own, received, type, op);
      if (!last) {
        sent = sendOn(own);
      }
    }
    engine.await(opened);
    engine.await(sent);
  }

  /** As the first half of {@link #allReduce}, with the partial sums beside the input. */
  void reduceScatter(
      Header header, MemorySegment input, MemorySegment output, ElementType type, ReduceOp op)
      throws IOException {
    Transfer opened = openBoth(header);
    long partBytes = output.byteSize();
    Transfer sent = sendOn(pieceOf(partOf(input, partBytes, rank - 1), 0));
    // A sum waits here until it is sent. One room wouldn't do: were every rank's next chunk to go
    // where its last one still waits, none would read, and none get rid of anything.
    Transfer[][] pending = new Transfer[2][Math.toIntExact(Math.ceilDiv(pieceBytes, CHUNK_BYTES))];
    for (long at = 0; at < partBytes; at += pieceBytes) {
      MemorySegment piece = pieceOf(output, at);
      for (int step = 0; step < size - 1; step++) {
        boolean last = step == size - 2;
        if (last) {
          sent = sendOn(pieceOf(partOf(input, partBytes, rank - 1), at + pieceBytes));
        }
        MemorySegment own = pieceOf(partOf(input, partBytes, rank - step - 2), at);
        MemorySegment target = last ? piece : sums(step % 2, piece.byteSize());
        for (int c = 0; c * CHUNK_BYTES < piece.byteSize(); c++) {
          MemorySegment sum = chunkOf(target, c * CHUNK_BYTES);
          if (!last && pending[step % 2][c] != null) {
            engine.await(pending[step % 2][c]);
          }
          receive(sum);
          Reduction.reduce(sum, chunkOf(own, c * CHUNK_BYTES), type, op);
          if (!last) {
            sent = sendOn(sum);
            pending[step % 2][c] = sent;
          }
        }
      }
    }
    engine.await(opened);
    engine.await(sent);
  }

  private MemorySegment sums(int which, long bytes) {
    if (sums[which].byteSize() < bytes) {
      sums[which] = Arena.ofAuto().allocate(bytes, 64);
    }
    return sums[which].asSlice(0, bytes);
  }

  void allGather(Header header, MemorySegment input, MemorySegment output) throws IOException {
    Transfer opened = openBoth(header);
    long partBytes = input.byteSize();
    MemorySegment own = partOf(output, partBytes, rank);
    Transfer sent = sendOn(copyOf(input, own, 0));
    for (long at = 0; at < partBytes; at += pieceBytes) {
      for (int step = 0; step < size - 1; step++) {
        boolean last = step == size - 2;
        if (last) {
          sent = sendOn(copyOf(input, own, at + pieceBytes));
        }
        MemorySegment piece = pieceOf(partOf(output, partBytes, rank - step - 1), at);
        for (long in = 0; in < piece.byteSize(); in += CHUNK_BYTES) {
          MemorySegment received = chunkOf(piece, in);
          receive(received);
          if (!last) {
            sent = sendOn(received);
          }
        }
      }
    }
    engine.await(opened);
    engine.await(sent);
  }

  private MemorySegment copyOf(MemorySegment part, MemorySegment place, long at) {
    return pieceOf(place, at).copyFrom(pieceOf(part, at));
  }

  /** Along the ring from the root to the rank before it. */
  void broadcast(Header header, MemorySegment buffer, int root) throws IOException {
    if (rank == root) {
      openNext(header);
      engine.await(sendOn(buffer));
      return;
    }
    boolean last = next.peer() == members.get(root);
    Transfer opened = openPrevious(header);
    Transfer sent = last ? opened : openNext(header);
    for (long at = 0; at < buffer.byteSize(); at += CHUNK_BYTES) {
      MemorySegment piece = chunkOf(buffer, at);
      receive(piece);
      if (!last) {
        sent = sendOn(piece);
      }
    }
    engine.await(opened);
    engine.await(sent);
  }

  int size() {
    return size;
  }

  /** Room for a barrier's number. */
  MemorySegment word() {
    return chunk.asSlice(CHUNK_BYTES, Long.BYTES);
  }

  /** The transfer returned is the one that comes in. */
  private Transfer openBoth(Header header) {
    openNext(header);
    return openPrevious(header);
  }

  private Transfer openNext(Header header) {
    Transfer transfer = Transfer.of(header.encode());
    next.send(transfer);
    return transfer;
  }

  private Transfer openPrevious(Header header) {
    ByteBuffer received = ByteBuffer.allocate(Header.BYTES);
    Transfer transfer = Transfer.of(received, () -> header.check(received.flip(), previous.peer()));
    previous.receive(transfer);
    return transfer;
  }

  private Transfer sendOn(MemorySegment bytes) {
    Transfer transfer = Transfer.of(bytes);
    next.send(transfer);
    return transfer;
  }

  private void receive(MemorySegment target) throws IOException {
    Transfer transfer = Transfer.of(target);
    previous.receive(transfer);
    engine.await(transfer);
  }

  /** The p-th (modulo size) of {@code size} parts of about the same number of elements. */
  private MemorySegment part(MemorySegment buffer, ElementType type, int p) {
    long elements = buffer.byteSize() / type.bytes();
    int index = Math.floorMod(p, size);
    long from = index * elements / size * type.bytes();
    long to = (index + 1) * elements / size * type.bytes();
    return buffer.asSlice(from, to - from);
  }

  /** The p-th (modulo size) of equal parts. */
  private MemorySegment partOf(MemorySegment buffer, long partBytes, int p) {
    return buffer.asSlice(Math.floorMod(p, size) * partBytes, partBytes);
  }

  /** Nothing where the part has ended. */
  private MemorySegment pieceOf(MemorySegment part, long at) {
    return slice(part, Math.min(at, part.byteSize()), pieceBytes);
  }

  private static MemorySegment chunkOf(MemorySegment part, long at) {
    return slice(part, at, CHUNK_BYTES);
  }

  private static MemorySegment slice(MemorySegment part, long at, long most) {
    return part.asSlice(at, Math.min(most, part.byteSize() - at));
  }
}
