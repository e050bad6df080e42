package org.ftcluster.coordinator.job;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.time.Duration;
import java.util.List;
import org.apache.pekko.actor.testkit.typed.javadsl.TestProbe;
import org.ftcluster.protocol.message.RankReport;
import org.ftcluster.protocol.message.WorkerCommand;
import org.ftcluster.protocol.message.WorkerCommand.PeerAddress;
import org.ftcluster.protocol.message.WorkerCommand.PrepareRank;
import org.ftcluster.protocol.message.WorkerCommand.ReleaseJob;
import org.ftcluster.protocol.message.WorkerCommand.StartRank;
import org.junit.jupiter.api.Test;

/** What becomes of a job that nothing goes wrong with, and who hears of it. */
class JobTest extends JobScene {
  @Test
  void aSubmissionIsDurableBeforeItIsAnswered() {
    List<Object> events = durableEvents();
    assertEquals(new JobEvent.Queued(), events.getLast());
    assertEquals(2, events.size());
  }

  @Test
  void ranksArePreparedThenStartedTogetherWithTheNewestState() {
    job.tell(new JobCommand.Assign(List.of(a, b)));
    PrepareRank prepareA = first.expectMessageClass(PrepareRank.class);
    PrepareRank prepareB = second.expectMessageClass(PrepareRank.class);
    assertEquals(List.of(0, 1), List.of(prepareA.rank(), prepareB.rank()));
    assertEquals(1, prepareA.generation());
    assertEquals(2, prepareA.worldSize());
    assertArrayEquals(prepareA.secret(), prepareB.secret());
    reports = prepareA.reports();

    reports.tell(prepared(1, 0, 4));
    first.expectNoMessage(Duration.ofMillis(50));
    reports.tell(prepared(1, 1, 6));

    StartRank start =
        new StartRank(id, 1, List.of(new PeerAddress("h", 0), new PeerAddress("h", 1)), 1);
    first.expectMessage(start);
    second.expectMessage(start);
    reports.tell(new RankReport.Started(id, 1, 0, 6));
    assertEquals(JobState.RUNNING, expectState(JobState.RUNNING).state());
  }

  @Test
  void aJobThatIsDoneSucceedsAndReleasesItsWorkers() {
    run();
    reports.tell(new RankReport.Completed(id, 1, 0, RESULT));
    assertEquals(RESULT, expectState(JobState.SUCCEEDED).result());
    first.expectMessage(new ReleaseJob(id));
    second.expectMessage(new ReleaseJob(id));
  }

  @Test
  void aJobThatWaitsSaysWhatItLacksUntilItHasWorkers() {
    job.tell(new JobCommand.Lacks("it needs 2 workers"));
    assertEquals("it needs 2 workers", expectState(JobState.QUEUED).shortage());
    assertEquals(
        "it needs 2 workers",
        watch().expectMessageClass(JobNews.Changed.class).status().shortage());
    run();
    job.tell(new JobCommand.LoseWorker(b, "left"));
    assertEquals("", expectState(JobState.RECOVERING).shortage());
  }

  @Test
  void aJobThatFindsNoWorkersGivesUp() {
    job.tell(new JobCommand.Lacks("it needs 2 workers"));
    job.tell(new JobCommand.GiveUp("no worker joined in time"));
    JobStatus failed = expectState(JobState.FAILED);
    assertEquals("no worker joined in time", failed.reason());
    assertEquals("", failed.shortage());
  }

  @Test
  void aCancelledJobReleasesItsWorkersAndStaysCancelled() {
    run();
    TestProbe<JobStatus> answer = kit.createTestProbe();
    job.tell(new JobCommand.Cancel(answer.ref()));
    assertEquals(JobState.CANCELLED, answer.receiveMessage().state());
    first.expectMessage(new ReleaseJob(id));
    job.tell(new JobCommand.Cancel(answer.ref()));
    assertEquals(JobState.CANCELLED, answer.receiveMessage().state());
    job.tell(new JobCommand.Assign(List.of(a)));
    first.expectNoMessage(Duration.ofMillis(50));
  }

  @Test
  void aWatcherIsToldTheLastStepFirstAndThenEachNewOne() {
    run();
    reports.tell(new RankReport.StepCompleted(id, 1, 0, metrics(1)));
    reports.tell(new RankReport.StepCompleted(id, 1, 0, metrics(2)));
    expectSignal(
        signal -> signal instanceof JobSignal.Changed changed && changed.status().step() == 2);
    TestProbe<JobNews> late = watch();
    assertEquals(2, late.expectMessageClass(JobNews.Changed.class).status().step());
    assertEquals(2, late.expectMessageClass(JobNews.Stepped.class).metrics().step());
    reports.tell(new RankReport.StepCompleted(id, 1, 0, metrics(3)));
    assertEquals(3, late.expectMessageClass(JobNews.Stepped.class).metrics().step());
    reports.tell(new RankReport.Noted(id, 1, 0, "a checkpoint"));
    assertEquals("a checkpoint", late.expectMessageClass(JobNews.Noted.class).note());
  }

  @Test
  void notesAreKeptByRanksUntilTheyAreHeard() {
    run();
    reports.tell(new RankReport.Noted(id, 1, 0, "a checkpoint"));
    first.expectMessage(new WorkerCommand.NoteHeard(id, 1, "a checkpoint"));
  }

  @Test
  void aStragglerIsNamedWithItsNode() {
    run();
    TestProbe<JobNews> watcher = watch();
    watcher.expectMessageClass(JobNews.Changed.class);
    reports.tell(new RankReport.Paced(id, 1, 1, 2.34, RankReport.Pace.STRAGGLES));
    assertEquals(
        "Rank 1 on b:2 is a straggler: it takes 2.3 times as long for a token as the others do.",
        watcher.expectMessageClass(JobNews.Noted.class).note());
    reports.tell(new RankReport.Paced(id, 1, 1, 1.1, RankReport.Pace.KEEPS_UP));
    assertEquals(
        "Rank 1 on b:2 keeps up with the others again.",
        watcher.expectMessageClass(JobNews.Noted.class).note());
  }
}
