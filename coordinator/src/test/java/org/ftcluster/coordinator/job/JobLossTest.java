package org.ftcluster.coordinator.job;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.List;
import org.apache.pekko.actor.testkit.typed.javadsl.TestProbe;
import org.ftcluster.protocol.message.RankReport;
import org.ftcluster.protocol.message.RankReport.Cause;
import org.ftcluster.protocol.message.WorkerCommand;
import org.ftcluster.protocol.message.WorkerCommand.PrepareRank;
import org.ftcluster.protocol.message.WorkerCommand.ReleaseJob;
import org.ftcluster.protocol.message.WorkerCommand.StartRank;
import org.ftcluster.protocol.message.WorkerCommand.StopRank;
import org.junit.jupiter.api.Test;

/** Ranks that are lost or fail: the job goes on with others, or says why it can't. */
class JobLossTest extends JobScene {
  @Test
  void aLostPeerStopsTheGenerationAndTheNextHasItsOwnSecret() {
    byte[] secret = run().secret();
    reports.tell(failed(1, Cause.LOST_PEER, "rank 1 closed the connection"));
    assertTrue(expectWish().recovering());
    first.expectMessage(new StopRank(id, 1, "rank 0 on a:1: rank 1 closed the connection"));
    second.expectMessageClass(StopRank.class);

    job.tell(new JobCommand.Assign(List.of(a)));
    PrepareRank next = first.expectMessageClass(PrepareRank.class);
    assertEquals(2, next.generation());
    assertEquals(1, next.worldSize());
    assertFalse(Arrays.equals(secret, next.secret()));
    reports.tell(prepared(2, 0, 3));
    assertEquals(0, first.expectMessageClass(StartRank.class).stateSource());
    reports.tell(new RankReport.Started(id, 2, 0, 3));
    expectState(JobState.RUNNING);
  }

  @Test
  void aWorkerThatLeftIsALossOnlyWhileItTakesPart() {
    run();
    job.tell(
        new JobCommand.LoseWorker(
            new Worker("c:3", kit.<WorkerCommand>createTestProbe().ref()), "left"));
    job.tell(new JobCommand.LoseWorker(b, "left"));
    assertTrue(expectWish().recovering());
    first.expectMessage(new StopRank(id, 1, "the worker b:2 left"));
  }

  @Test
  void aRankThatDoesNotPrepareInTimeIsNamed() {
    job.tell(new JobCommand.Assign(List.of(a, b)));
    reports = first.expectMessageClass(PrepareRank.class).reports();
    reports.tell(prepared(1, 0, -1));
    assertTrue(expectReason().startsWith("rank 1 on b:2 did not prepare within"), "names the rank");
  }

  @Test
  void ranksThatDoNotConnectInTimeEndTheGeneration() {
    job.tell(new JobCommand.Assign(List.of(a)));
    reports = first.expectMessageClass(PrepareRank.class).reports();
    reports.tell(prepared(1, 0, -1));
    assertTrue(expectReason().startsWith("the ranks did not connect within"));
  }

  @Test
  void reportsOfAnOldGenerationAreDropped() {
    run();
    reports.tell(failed(1, Cause.LOST_PEER, "lost"));
    expectWish();
    job.tell(new JobCommand.Assign(List.of(a)));
    expectState(JobState.RECOVERING);
    reports.tell(failed(1, Cause.LOST_PEER, "late"));
    reports.tell(failed(0, Cause.BAD_JOB, "later"));
    reports.tell(new RankReport.Completed(id, 1, 0, RESULT));
    reports.tell(new RankReport.StepCompleted(id, 1, 0, metrics(9)));
    TestProbe<JobNews> late = watch();
    JobStatus status = late.expectMessageClass(JobNews.Changed.class).status();
    assertEquals(JobState.RECOVERING, status.state());
    assertEquals(0, status.step());
  }

  @Test
  void aRankMaySayWhyAfterItsPeersSawItGo() {
    run();
    reports.tell(failed(1, Cause.LOST_PEER, "rank 1 closed the connection"));
    expectWish();
    reports.tell(new RankReport.Failed(id, 1, 1, Cause.BAD_JOB, "eval.jsonl is missing."));
    assertEquals("eval.jsonl is missing.", expectState(JobState.FAILED).reason());
  }

  @Test
  void anErrorIsNamedThoughItsPeersWereTheFirstToNotice() {
    run();
    TestProbe<JobNews> watcher = watch();
    watcher.expectMessageClass(JobNews.Changed.class);
    reports.tell(failed(1, Cause.LOST_PEER, "rank 1 closed the connection"));
    watcher.expectMessageClass(JobNews.Changed.class);
    reports.tell(
        new RankReport.Failed(id, 1, 1, Cause.WORKER_ERROR, "the worker is out of memory"));
    assertEquals(
        "Rank 1 on b:2: the worker is out of memory.",
        watcher.expectMessageClass(JobNews.Noted.class).note());
  }

  @Test
  void aBadJobFailsAtOnce() {
    run();
    reports.tell(failed(1, Cause.BAD_JOB, "train.jsonl:3: this is not JSON."));
    assertEquals("train.jsonl:3: this is not JSON.", expectState(JobState.FAILED).reason());
    first.expectMessage(new ReleaseJob(id));
  }

  @Test
  void errorsOfWorkersFailTheJobWhenNoStepLiesBetweenThem() {
    run();
    reports.tell(failed(1, Cause.WORKER_ERROR, "disk full"));
    long generation = 2;
    for (int error = 0; error < Setbacks.MAX_WORKER_ERRORS; error++, generation++) {
      runAlone(generation);
      if (error == 0) {
        reports.tell(new RankReport.StepCompleted(id, generation, 0, metrics(1)));
      }
      reports.tell(failed(generation, Cause.WORKER_ERROR, "disk full"));
    }
    JobStatus failed = expectState(JobState.FAILED);
    assertTrue(failed.reason().startsWith("disk full (rank 0 on a:1; 4 errors"), failed.reason());
    assertEquals(1, failed.step());
  }

  @Test
  void aWorkerThatFailsTwiceIsShunned() {
    run();
    reports.tell(failed(1, Cause.WORKER_ERROR, "out of memory"));
    runAlone(2);
    reports.tell(new RankReport.StepCompleted(id, 2, 0, metrics(1)));
    reports.tell(failed(2, Cause.WORKER_ERROR, "out of memory"));
    expectSignal(told -> told.equals(new JobSignal.Shuns(id, "a:1")));
  }

  @Test
  void generationsThatAllEndWithoutAStepFailTheJob() {
    run();
    for (long generation = 1; generation < Setbacks.MAX_FRUITLESS_GENERATIONS; generation++) {
      reports.tell(failed(generation, Cause.LOST_PEER, "no route to rank 1"));
      runAlone(generation + 1);
    }
    reports.tell(failed(Setbacks.MAX_FRUITLESS_GENERATIONS, Cause.LOST_PEER, "no route to rank 1"));
    assertTrue(expectState(JobState.FAILED).reason().contains("no route to rank 1"));
  }
}
