package org.ftcluster.coordinator.job;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.apache.pekko.actor.testkit.typed.javadsl.TestProbe;
import org.apache.pekko.actor.typed.ActorRef;
import org.ftcluster.protocol.message.RankReport;
import org.ftcluster.protocol.message.WorkerCommand;
import org.ftcluster.protocol.message.WorkerCommand.PrepareRank;
import org.ftcluster.protocol.message.WorkerCommand.ReleaseJob;
import org.ftcluster.protocol.message.WorkerCommand.ReportTo;
import org.ftcluster.protocol.message.WorkerCommand.StopRank;
import org.junit.jupiter.api.Test;

/** A job whose coordinator began anew while its ranks went on. */
class JobTakeOverTest extends JobScene {
  @Test
  void aJobThatIsStartedAgainTakesItsRunningRanksOver() {
    run();
    startAgain();
    ReportTo toFirst = takeOver(a, first);
    assertEquals(new ReportTo(EPOCH, id, 1, toFirst.reports()), toFirst);
    toFirst.reports().tell(new RankReport.Resumed(id, 1, 0, first.ref()));
    toFirst.reports().tell(new RankReport.StepCompleted(id, 1, 0, metrics(5)));
    takeOver(b, second).reports().tell(new RankReport.Resumed(id, 1, 1, second.ref()));
    JobSignal whole =
        expectSignal(
            told -> told instanceof JobSignal.Changed changed && changed.status().workers() == 2);
    JobStatus status = ((JobSignal.Changed) whole).status();
    assertEquals(JobState.RUNNING, status.state());
    assertEquals(1, status.generation());
    assertEquals(5, status.step());
    toFirst.reports().tell(new RankReport.Completed(id, 1, 0, RESULT));
    expectState(JobState.SUCCEEDED);
    second.expectMessage(new ReleaseJob(id));
  }

  @Test
  void aJobThatEndedMeanwhileIsKnownFromItsFirstRank() {
    run();
    startAgain();
    ActorRef<RankReport> ranks = takeOver(a, first).reports();
    ranks.tell(new RankReport.Resumed(id, 1, 0, first.ref()));
    ranks.tell(new RankReport.Completed(id, 1, 0, RESULT));
    expectState(JobState.SUCCEEDED);
  }

  @Test
  void aRankThatDoesNotComeBackIsNamedAndTheOthersGoOn() {
    run();
    startAgain();
    takeOver(a, first).reports().tell(new RankReport.Resumed(id, 1, 0, first.ref()));
    String reason = expectReason();
    assertTrue(reason.contains("rank 1 did not come back within"), reason);
    first.expectMessageClass(StopRank.class);
    expectWish();
    job.tell(new JobCommand.Assign(List.of(a)));
    assertEquals(2, first.expectMessageClass(PrepareRank.class).generation());
  }

  /** Who is asked in their place knows the newest checkpoint only. */
  @Test
  void ranksOfWhichNoneComesBackAreWaitedForTwiceAsLong() {
    run();
    startAgain();
    String reason = expectReason();
    assertTrue(
        reason.contains(
            "rank 0, rank 1 did not come back within %d s"
                .formatted(PATIENCE.resume().multipliedBy(2).toSeconds())),
        reason);
    expectWish();
  }

  private void startAgain() {
    kit.stop(job);
    job = kit.spawn(Job.create(id, EPOCH, owner.ref(), PATIENCE));
    expectSignal(told -> told.equals(new JobSignal.LooksForWorkers(id, 1)));
  }

  private ReportTo takeOver(Worker worker, TestProbe<WorkerCommand> probe) {
    job.tell(new JobCommand.TakeOver(worker));
    return probe.expectMessageClass(ReportTo.class);
  }
}
