package org.ftcluster.worker.optimizer;

import java.lang.foreign.MemorySegment;
import java.time.Duration;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.collective.Communicator.ElementType;
import org.ftcluster.worker.collective.Communicator.ReduceOp;

/**
 * Brings a step's sums, in the hosts' memory, from the ranks that have summed them, of whichever
 * stage, to those that have the optimizer's shards.
 *
 * @param group all of them, among whom the layout deals
 */
record SumDelivery(SumFormat format, ShardLayout layout, Communicator group, Duration timeout) {
  /** Bytes that are on their way at once. */
  private static final long ROUND_BYTES = 4 << 20;

  /**
   * All ranks of the group call it.
   *
   * @param sums of this rank's stage; parameters of several stages are summed once more
   * @param gradients float32, of all parameters: gets those of the own shard
   */
  void deliver(StageSums sums, MemorySegment gradients) {
    ElementType type = format.type();
    long most = ROUND_BYTES / type.bytes() / group.size();
    long chunk = Math.clamp(layout.largest(), 1, Math.max(1, most));
    try (HostSumMemory host = new HostSumMemory(format)) {
      MemorySegment rooms = host.allocate(chunk * group.size() * type.bytes());
      MemorySegment arrived = host.allocate(chunk * type.bytes());
      for (long at = 0; at < layout.largest(); at += chunk) {
        host.clear(rooms);
        for (int rank = 0; rank < group.size(); rank++) {
          Shard wanted = ShardedUpdate.chunk(layout.of(rank), at, chunk);
          MemorySegment room = rooms.asSlice(rank * chunk * type.bytes(), chunk * type.bytes());
          sums.runs().forEach(run -> put(run, wanted, room));
        }
        group.reduceScatter(rooms, arrived, type, ReduceOp.SUM).await(timeout);
        Shard own = ShardedUpdate.chunk(layout.own(), at, chunk);
        host.toFloats(arrived.asSlice(0, own.size() * type.bytes()), own.of(gradients));
      }
    }
  }

  private void put(StageSums.Run run, Shard wanted, MemorySegment room) {
    Shard here = run.own().and(wanted);
    if (here.size() > 0) {
      long bytes = format.type().bytes();
      room.asSlice((here.from() - wanted.from()) * bytes, here.size() * bytes)
          .copyFrom(run.sums(here, format.type()));
    }
  }
}
