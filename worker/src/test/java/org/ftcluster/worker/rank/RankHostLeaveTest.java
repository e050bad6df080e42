package org.ftcluster.worker.rank;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;

import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.ftcluster.protocol.message.RankReport.Cause;
import org.ftcluster.protocol.message.RankReport.Failed;
import org.ftcluster.protocol.message.RankReport.HandedOver;
import org.ftcluster.protocol.message.RankReport.Leaving;
import org.ftcluster.protocol.message.RankReport.Prepared;
import org.junit.jupiter.api.Test;

/** Ranks that hand over, and workers that leave: what they did stays. */
class RankHostLeaveTest extends HostedRank {
  @Test
  void aRankThatHasHandedOverSaysSoAsOftenAsItIsAsked() throws Exception {
    train("a", 1);
    host.handOver("a", 1);
    assertEquals(new HandedOver("a", 1, 0, 7), next());
    awaitIdle();
    host.handOver("a", 1);
    assertEquals(new HandedOver("a", 1, 0, 7), next());
    host.handOver("a", 2);
    host.handOver("b", 1);
    prepare("a", 2);
    assertEquals(2, assertInstanceOf(Prepared.class, next()).generation());
  }

  @Test
  void aWorkerThatLeavesHandsOverAndTakesNoRankAnyMore() throws Exception {
    train("a", 1);
    Future<?> left = host.leave("a spot notice");
    assertEquals(new Leaving("a", 1, 0, "a spot notice"), next());
    assertEquals(new HandedOver("a", 1, 0, 7), next());
    left.get(10, TimeUnit.SECONDS);
    assertEquals("keep safe", created.getFirst().calls.getLast());
    assertEquals(Phase.DRAINING, host.snapshot().phase());
    prepare("a", 2);
    assertEquals(
        new Failed("a", 2, 0, Cause.LOST_PEER, "the worker leaves: a spot notice"), next());
    assertFalse(created.getFirst().calls.contains("prepare 2"));
  }

  @Test
  void aRankThatOnlyPreparesIsGivenUpByAWorkerThatLeaves() throws Exception {
    prepare("a", 1);
    next();
    host.leave("a spot notice").get(10, TimeUnit.SECONDS);
    assertEquals(
        new Failed("a", 1, 0, Cause.LOST_PEER, "the worker leaves: a spot notice"), next());
  }
}
