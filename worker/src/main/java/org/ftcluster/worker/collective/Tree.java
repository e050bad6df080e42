package org.ftcluster.worker.collective;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import org.ftcluster.worker.collective.Communicator.ElementType;
import org.ftcluster.worker.collective.Communicator.ReduceOp;

/**
 * All-reduces of small buffers, along a binomial tree: partial sums go up to the first rank, and
 * the total comes down the same way. That takes 2 log2(size) messages one after the other where a
 * {@link Ring} takes 2 (size - 1), each of the whole buffer.
 *
 * <p>The first rank makes the total, so all ranks get the same bits.
 *
 * <p>Runs on the engine's thread. Ranks here are places among the members.
 */
final class Tree {
  /**
   * Up to so many bytes a message costs little more than none does, and the fewest are best: over
   * loopback a ring of four catches up at 256 KB.
   */
  static final long MOST_BYTES = 64 << 10;

  /** With fewer ranks a ring has as few messages. */
  static final int FEWEST_RANKS = 4;

  private final Engine engine;
  private final List<Integer> members;
  private final int rank;
  private final int size;

  /** Where partial sums arrive. */
  private final MemorySegment room = Arena.ofAuto().allocate(MOST_BYTES, 64);

  private final List<Transfer> sent = new ArrayList<>();

  /**
   * @param members ranks of the generation, this one among them
   */
  Tree(Engine engine, List<Integer> members) {
    this.engine = engine;
    this.members = members;
    this.rank = members.indexOf(engine.rank());
    this.size = members.size();
  }

  /** Whether a buffer goes this way; the same on all ranks. */
  static boolean suits(int ranks, long bytes) {
    return ranks >= FEWEST_RANKS && bytes <= MOST_BYTES;
  }

  void allReduce(Header header, MemorySegment buffer, ElementType type, ReduceOp op)
      throws IOException {
    int reach = 1;
    for (; reach < size && (rank & reach) == 0; reach *= 2) {
      if (rank + reach < size) {
        MemorySegment received = room.asSlice(0, buffer.byteSize());
        receive(header, received, rank + reach);
        Reduction.reduce(buffer, received, type, op);
      }
    }
    if (rank > 0) {
      send(header, buffer, rank - reach);
      // The total can only be here because this rank's share of it has long left.
      receive(header, buffer, rank - reach);
    }
    for (reach /= 2; reach > 0; reach /= 2) {
      if (rank + reach < size) {
        send(header, buffer, rank + reach);
      }
    }
    for (Transfer transfer : sent) {
      engine.await(transfer);
    }
    sent.clear();
  }

  private void send(Header header, MemorySegment bytes, int to) {
    Link link = engine.link(members.get(to));
    link.send(Transfer.of(header.encode()));
    Transfer transfer = Transfer.of(bytes);
    link.send(transfer);
    sent.add(transfer);
  }

  private void receive(Header header, MemorySegment target, int from) throws IOException {
    Link link = engine.link(members.get(from));
    ByteBuffer received = ByteBuffer.allocate(Header.BYTES);
    link.receive(Transfer.of(received, () -> header.check(received.flip(), link.peer())));
    Transfer transfer = Transfer.of(target);
    link.receive(transfer);
    engine.await(transfer);
  }
}
