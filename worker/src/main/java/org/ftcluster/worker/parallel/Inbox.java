package org.ftcluster.worker.parallel;

import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.HashMap;
import java.util.Map;
import java.util.Queue;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.collective.Work;
import org.ftcluster.worker.parallel.Schedule.Message;

/**
 * What the other stages send this one in a step. A peer's messages come in the order in which it
 * sends them, which may not be that in which they are needed here.
 */
final class Inbox {
  private final Communicator stages;
  private final Duration timeout;
  private final Function<Message, MemorySegment> room;
  private final Map<Integer, Queue<Message>> expected = new HashMap<>();
  private final Map<Message, Work> underWay = new HashMap<>();

  /**
   * @param microBatches that there are messages of, of those in the schedule the first
   * @param room where a message goes, which may be asked for before it is needed
   */
  Inbox(
      Schedule schedule,
      int microBatches,
      Communicator stages,
      Duration timeout,
      Function<Message, MemorySegment> room) {
    this.stages = stages;
    this.timeout = timeout;
    this.room = room;
    for (int peer = 0; peer < stages.size(); peer++) {
      if (peer != stages.rank()) {
        expected.put(
            peer,
            schedule.messages(peer, stages.rank()).stream()
                .filter(message -> message.microBatch() < microBatches)
                .collect(Collectors.toCollection(ArrayDeque::new)));
      }
    }
  }

  /** Returns when that message is here. */
  void await(Message message, int peer) {
    while (!underWay.containsKey(message)) {
      Message next = expected.get(peer).remove();
      underWay.put(next, stages.recv(room.apply(next), peer));
    }
    underWay.remove(message).await(timeout);
  }
}
