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
 * <p>Every element is reduced along one path around the ring and then handed out, so all ranks get
 * the same bits, and the same bits each time that the number of ranks is the same.
 *
 * <p>Runs on the engine's thread. Ranks here are places in the ring: those of a group, where the
 * ring is a group's.
 */
final class Ring {
  /** Small enough to stay in the cache between the socket and the reduction. */
  private static final long CHUNK_BYTES = 256 << 10;

  /** Of a part, what {@link #reduceScatter} has on its way at once. */
  private static final long PIECE_BYTES = 4 << 20;

  private final Engine engine;
  private final List<Integer> members;
  private final int rank;
  private final int size;
  private final Link next;
  private final Link previous;

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
  }

  /**
   * For size - 1 steps the partial sum of a part comes in, gets this rank's share, and goes on; the
   * part that is complete then is the first of another size - 1 that come in to stay.
   */
  void allReduce(Header header, MemorySegment buffer, ElementType type, ReduceOp op)
      throws IOException {
    Transfer opened = openBoth(header);
    Transfer sent = sendOn(part(buffer, type, rank));
    int steps = 2 * (size - 1);
    for (int step = 0; step < steps; step++) {
      MemorySegment part = part(buffer, type, rank - step - 1);
      for (long at = 0; at < part.byteSize(); at += CHUNK_BYTES) {
        MemorySegment own = chunkOf(part, at);
        if (step < size - 1) {
          MemorySegment received = chunk.asSlice(0, own.byteSize());
          receive(received);
          Reduction.reduce(own, received, type, op);
        } else {
          // The total can only be here because this rank's share of it has long left.
          receive(own);
        }
        if (step < steps - 1) {
          sent = sendOn(own);
        }
      }
    }
    engine.await(opened);
    engine.await(sent);
  }

  /**
   * As the first half of {@link #allReduce}, with the partial sums beside the input; of long parts
   * a piece of each after the other, so that sums take little room.
   */
  void reduceScatter(
      Header header, MemorySegment input, MemorySegment output, ElementType type, ReduceOp op)
      throws IOException {
    Transfer opened = openBoth(header);
    for (long at = 0; at < output.byteSize(); at += PIECE_BYTES) {
      reduceScatter(input, at, output.byteSize(), pieceOf(output, at), type, op);
    }
    engine.await(opened);
  }

  /**
   * @param at where the piece is in each part
   */
  private void reduceScatter(
      MemorySegment input,
      long at,
      long partBytes,
      MemorySegment output,
      ElementType type,
      ReduceOp op)
      throws IOException {
    long bytes = output.byteSize();
    Transfer sent = sendOn(input.asSlice(Math.floorMod(rank - 1, size) * partBytes + at, bytes));
    int chunks = Math.toIntExact(Math.ceilDiv(bytes, CHUNK_BYTES));
    // A sum waits here until it is sent. One piece wouldn't do: were every rank's next chunk to go
    // where its last one still waits, none would read, and none get rid of anything.
    Transfer[][] pending = new Transfer[2][chunks];
    for (int step = 0; step < size - 1; step++) {
      MemorySegment part =
          input.asSlice(Math.floorMod(rank - step - 2, size) * partBytes + at, bytes);
      boolean last = step == size - 2;
      MemorySegment target = last ? output : sums(step % 2, bytes);
      for (int c = 0; c < chunks; c++) {
        if (pending[step % 2][c] != null) {
          engine.await(pending[step % 2][c]);
        }
        MemorySegment sum = chunkOf(target, c * CHUNK_BYTES);
        receive(sum);
        Reduction.reduce(sum, chunkOf(part, c * CHUNK_BYTES), type, op);
        if (!last) {
          sent = sendOn(sum);
          pending[step % 2][c] = sent;
        }
      }
    }
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
    MemorySegment own = output.asSlice(rank * partBytes, partBytes);
    own.copyFrom(input);
    Transfer sent = sendOn(own);
    for (int step = 0; step < size - 1; step++) {
      int origin = Math.floorMod(rank - step - 1, size);
      MemorySegment part = output.asSlice(origin * partBytes, partBytes);
      for (long at = 0; at < partBytes; at += CHUNK_BYTES) {
        MemorySegment piece = chunkOf(part, at);
        receive(piece);
        if (step < size - 2) {
          sent = sendOn(piece);
        }
      }
    }
    engine.await(opened);
    engine.await(sent);
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

  private static MemorySegment pieceOf(MemorySegment part, long at) {
    return part.asSlice(at, Math.min(PIECE_BYTES, part.byteSize() - at));
  }

  private static MemorySegment chunkOf(MemorySegment part, long at) {
    return part.asSlice(at, Math.min(CHUNK_BYTES, part.byteSize() - at));
  }
}
