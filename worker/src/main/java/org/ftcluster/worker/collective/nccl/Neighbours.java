package org.ftcluster.worker.collective.nccl;

import java.lang.foreign.MemorySegment;
import java.util.List;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.collective.Work;

/**
 * Channels to the ranks before and behind, where the first is behind the last. A message of NCCL's
 * holds up all that is behind it in its channel until the peer takes it, so each direction has one
 * of its own: two ranks may both send before they receive.
 */
final class Neighbours {
  /** Of a channel's two ranks. */
  private static final int SENDER = 0;

  private static final int RECEIVER = 1;

  /** Channels that each rank sends on: to the rank behind, and to the one before. */
  private static final int DIRECTIONS = 2;

  private final NcclContext context;
  private final int rank;
  private final int size;
  private final Channel toNext;
  private final Channel fromPrevious;
  private final Channel toPrevious;
  private final Channel fromNext;

  /** All ranks of {@code hosts} make theirs at the same time. */
  Neighbours(NcclContext context, Communicator hosts) {
    this.context = context;
    this.rank = hosts.rank();
    this.size = hosts.size();
    List<byte[]> ids = Ids.ofAll(context, hosts, DIRECTIONS);
    toNext = Channel.begin(context, ids.get(rank * DIRECTIONS), SENDER, 2);
    fromPrevious = Channel.begin(context, ids.get(previous() * DIRECTIONS), RECEIVER, 2);
    toPrevious = Channel.begin(context, ids.get(rank * DIRECTIONS + 1), SENDER, 2);
    fromNext = Channel.begin(context, ids.get(next() * DIRECTIONS + 1), RECEIVER, 2);
  }

  List<Channel> channels() {
    return List.of(toNext, fromPrevious, toPrevious, fromNext);
  }

  Work send(MemorySegment buffer, int peer) {
    check(peer);
    return (peer == next() ? toNext : toPrevious)
        .submit(
            "a message to rank " + peer,
            (comm, stream) -> context.nccl().send(buffer, RECEIVER, comm, stream));
  }

  Work recv(MemorySegment buffer, int peer) {
    check(peer);
    // Of two ranks each is the other's next, and sends on that channel.
    return (peer == previous() ? fromPrevious : fromNext)
        .submit(
            "a message from rank " + peer,
            (comm, stream) -> context.nccl().recv(buffer, SENDER, comm, stream));
  }

  private int next() {
    return (rank + 1) % size;
  }

  private int previous() {
    return Math.floorMod(rank - 1, size);
  }

  private void check(int peer) {
    if (size == 1 || (peer != next() && peer != previous())) {
      throw new IllegalArgumentException(
          "messages among GPUs go to neighbours: rank %d of %d has no %d"
              .formatted(rank, size, peer));
    }
  }
}
