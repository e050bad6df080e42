package org.ftcluster.coordinator.job;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.apache.pekko.actor.testkit.typed.javadsl.TestInbox;
import org.ftcluster.protocol.message.RankReport.Prepared;
import org.ftcluster.protocol.message.WorkerCommand;
import org.ftcluster.protocol.message.WorkerCommand.PeerAddress;
import org.junit.jupiter.api.Test;

class GenerationTest {
  private final Generation generation =
      new Generation(3, List.of(worker("a:1"), worker("b:2"), worker("c:3")));

  @Test
  void startsWhenTheLastRankIsPrepared() {
    assertFalse(generation.prepared(prepared(2, 5)));
    assertFalse(generation.prepared(prepared(0, 7)));
    assertEquals("rank 1 on b:2", generation.unprepared());
    assertFalse(generation.prepared(prepared(0, 7)), "said twice");
    assertTrue(generation.prepared(prepared(1, 7)));
    assertEquals(
        List.of(new PeerAddress("h", 0), new PeerAddress("h", 1), new PeerAddress("h", 2)),
        generation.peers());
    assertEquals(10, generation.steps());
    assertFalse(generation.prepared(prepared(1, 7)), "said again");
  }

  @Test
  void stateComesFromTheLowestRankWithTheNewestStep() {
    generation.prepared(prepared(0, 5));
    generation.prepared(prepared(1, 7));
    generation.prepared(prepared(2, 7));
    assertEquals(1, generation.stateSource());
  }

  @Test
  void stateComesFromNobodyWhereNobodyHasAny() {
    for (int rank = 0; rank < 3; rank++) {
      generation.prepared(prepared(rank, -1));
    }
    assertEquals(-1, generation.stateSource());
  }

  @Test
  void namesAllWhoAreMissing() {
    assertEquals("rank 0 on a:1, rank 1 on b:2, rank 2 on c:3", generation.unprepared());
  }

  private static Prepared prepared(int rank, long completedStep) {
    return new Prepared("job-1", 3, rank, new PeerAddress("h", rank), completedStep, 10);
  }

  private static Worker worker(String node) {
    return new Worker(node, TestInbox.<WorkerCommand>create().getRef());
  }
}
