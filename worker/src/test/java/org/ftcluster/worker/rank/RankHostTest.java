package org.ftcluster.worker.rank;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.pekko.actor.typed.ActorRef;
import org.ftcluster.protocol.message.RankReport;
import org.ftcluster.protocol.message.RankReport.Cause;
import org.ftcluster.protocol.message.RankReport.Completed;
import org.ftcluster.protocol.message.RankReport.Failed;
import org.ftcluster.protocol.message.RankReport.Prepared;
import org.ftcluster.protocol.message.RankReport.Started;
import org.ftcluster.protocol.message.WorkerCommand;
import org.ftcluster.protocol.message.WorkerCommand.LoadJob;
import org.junit.jupiter.api.Test;

/** One generation after the other, of one job after the other. */
class RankHostTest extends HostedRank {
  @Test
  void aRankPreparesTrainsAndCompletes() throws Exception {
    prepare("a", 1);
    assertEquals(new Prepared("a", 1, 0, FakeTask.ADDRESS, -1, 10), next());
    assertEquals(Phase.PREPARING, host.snapshot().phase());
    start("a", 1);
    assertInstanceOf(Started.class, next());
    assertEquals(new RankState(Phase.TRAINING, "a", 0, 1), host.snapshot());
    created.getFirst().finish();
    assertInstanceOf(Completed.class, next());
    awaitIdle();
  }

  @Test
  void aStoppedGenerationEndsBeforeTheNextBeginsAndItsStateIsKept() throws Exception {
    train("a", 1);
    FakeTask task = created.getFirst();
    task.completedStep = 7;
    host.stop("a", 1, "rank 1 was lost");
    prepare("a", 2);
    Failed failed = assertInstanceOf(Failed.class, next());
    assertEquals(new Failed("a", 1, 0, Cause.LOST_PEER, "rank 1 was lost"), failed);
    assertEquals(new Prepared("a", 2, 0, FakeTask.ADDRESS, 7, 10), next());
    assertEquals(1, created.size());
    assertEquals(List.of("prepare 1", "run 1", "end 1", "prepare 2"), task.calls);
  }

  @Test
  void aNewGenerationEndsTheOneThatRuns() throws Exception {
    train("a", 1);
    prepare("a", 2);
    assertEquals(Cause.LOST_PEER, assertInstanceOf(Failed.class, next()).cause());
    assertEquals(2, assertInstanceOf(Prepared.class, next()).generation());
  }

  @Test
  void whatIsOfAnOlderGenerationIsIgnored() throws Exception {
    prepare("a", 3);
    next();
    prepare("a", 2);
    prepare("a", 3);
    start("a", 2);
    host.stop("a", 2, "old");
    start("a", 3);
    assertEquals(new Started("a", 3, 0, 0), next());
    assertEquals(List.of("prepare 3", "run 3"), created.getFirst().calls);
  }

  @Test
  void aGenerationStoppedBetweenPrepareAndStartDoesNotRun() throws Exception {
    prepare("a", 1);
    next();
    host.stop("a", 1, "rank 1 took too long");
    start("a", 1);
    assertEquals(new Failed("a", 1, 0, Cause.LOST_PEER, "rank 1 took too long"), next());
    assertFalse(created.getFirst().calls.contains("run 1"));
  }

  @Test
  void anotherJobTakesTheWorkerOver() throws Exception {
    prepare("a", 5);
    next();
    prepare("b", 1);
    assertEquals("b", assertInstanceOf(Prepared.class, next()).job());
    assertTrue(created.get(0).closed);
    assertFalse(created.get(1).closed);
  }

  @Test
  void aJobIsLoadedBeforeThereIsARankForIt() throws Exception {
    host.load(new LoadJob("a", "yaml"));
    host.load(new LoadJob("b", "yaml"));
    await(() -> host.snapshot().equals(new RankState(Phase.IDLE, "a", -1, 0)));
    prepare("a", 4);
    next();
    assertEquals(1, created.size());
  }

  @Test
  void anotherCoordinatorHearsWhatTheOneBeforeMayHaveMissed() throws Exception {
    train("a", 1);
    BlockingQueue<RankReport> heard = new LinkedBlockingQueue<>();
    ActorRef<WorkerCommand> self = kit.<WorkerCommand>createTestProbe().ref();
    host.reportTo("a", 2, heard::add, self);
    host.reportTo("b", 1, heard::add, self);
    assertTrue(heard.isEmpty());
    host.reportTo("a", 1, heard::add, self);
    assertEquals(new RankReport.Resumed("a", 1, 0, self), heard.take());
    assertInstanceOf(Prepared.class, heard.take());
    assertInstanceOf(Started.class, heard.take());
    created.getFirst().finish();
    assertInstanceOf(Completed.class, heard.poll(10, TimeUnit.SECONDS));
    assertTrue(reports.isEmpty(), "the one before hears no more");
  }

  @Test
  void aReleasedJobFreesWhatItHeld() throws Exception {
    train("a", 1);
    host.release("a");
    assertEquals(Cause.LOST_PEER, assertInstanceOf(Failed.class, next()).cause());
    awaitIdle();
    await(() -> host.snapshot().job().isEmpty());
    await(() -> created.getFirst().closed);
  }
}
