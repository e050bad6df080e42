package org.ftcluster.coordinator.job;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.typesafe.config.ConfigFactory;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.function.Predicate;
import org.apache.pekko.actor.testkit.typed.javadsl.ActorTestKit;
import org.apache.pekko.actor.testkit.typed.javadsl.FishingOutcomes;
import org.apache.pekko.actor.testkit.typed.javadsl.TestProbe;
import org.apache.pekko.actor.typed.ActorRef;
import org.apache.pekko.persistence.testkit.PersistenceTestKitPlugin;
import org.apache.pekko.persistence.testkit.javadsl.PersistenceTestKit;
import org.ftcluster.coordinator.job.JobSignal.WantsWorkers;
import org.ftcluster.protocol.message.Epoch;
import org.ftcluster.protocol.message.RankReport;
import org.ftcluster.protocol.message.RankReport.Cause;
import org.ftcluster.protocol.message.RankReport.StepMetrics;
import org.ftcluster.protocol.message.RankReport.TrainingResult;
import org.ftcluster.protocol.message.WorkerCommand;
import org.ftcluster.protocol.message.WorkerCommand.PeerAddress;
import org.ftcluster.protocol.message.WorkerCommand.PrepareRank;
import org.ftcluster.protocol.message.WorkerCommand.ReleaseJob;
import org.ftcluster.protocol.message.WorkerCommand.ReportTo;
import org.ftcluster.protocol.message.WorkerCommand.StartRank;
import org.ftcluster.protocol.message.WorkerCommand.StopRank;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** A job between its owner and two workers, all played by the test. */
class JobTest {
  private static final ActorTestKit KIT =
      ActorTestKit.create(
          PersistenceTestKitPlugin.config()
              .withFallback(ConfigFactory.parseResources("coordinator.conf"))
              .withFallback(ConfigFactory.load()));
  private static final Patience PATIENCE =
      new Patience(
          Duration.ofMillis(400),
          Duration.ofMillis(400),
          Duration.ofSeconds(5),
          Duration.ofSeconds(1),
          Duration.ofMillis(400),
          Duration.ofMillis(10));
  private static final TrainingResult RESULT = new TrainingResult(10, 2, 1, "/a", "ab", 1, 1, 1);
  private static final Epoch EPOCH = new Epoch("journal", 7);
  private static int jobs;

  private final String id = "job-" + ++jobs;
  private final TestProbe<JobSignal> owner = KIT.createTestProbe();
  private final TestProbe<JobNews> watcher = KIT.createTestProbe();
  private final TestProbe<WorkerCommand> first = KIT.createTestProbe();
  private final TestProbe<WorkerCommand> second = KIT.createTestProbe();
  private final Worker a = new Worker("a:1", first.ref());
  private final Worker b = new Worker("b:2", second.ref());
  private ActorRef<JobCommand> job;
  private ActorRef<RankReport> reports;

  @AfterAll
  static void stop() {
    KIT.shutdownTestKit();
  }

  @BeforeEach
  void submit() {
    job = KIT.spawn(Job.create(id, EPOCH, owner.ref(), PATIENCE));
    owner.expectMessage(new JobSignal.Unknown(id));
    TestProbe<JobStatus> submitted = KIT.createTestProbe();
    job.tell(
        new JobCommand.Submit(
            new JobEvent.Submitted("name", "yaml", new WorkerDemand(1, 2)), submitted.ref()));
    assertEquals(JobState.QUEUED, submitted.receiveMessage().state());
    assertFalse(expectWish().recovering());
  }

  @Test
  void aSubmissionIsDurableBeforeItIsAnswered() {
    List<Object> events = PersistenceTestKit.create(KIT.system()).persistedInStorage("job|" + id);
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
  void aWorkerThatLeftIsALossOnlyWhileItTakesPart() {
    run();
    job.tell(
        new JobCommand.LoseWorker(
            new Worker("c:3", KIT.<WorkerCommand>createTestProbe().ref()), "left"));
    job.tell(new JobCommand.LoseWorker(b, "left"));
    assertTrue(expectWish().recovering());
    first.expectMessage(new StopRank(id, 1, "the worker b:2 left"));
  }

  @Test
  void aPlannedChangeWaitsUntilAllRanksHaveHandedOver() {
    run();
    scale(1);
    first.expectMessage(new WorkerCommand.HandOver(id, 1));
    second.expectMessage(new WorkerCommand.HandOver(id, 1));
    reports.tell(new RankReport.HandedOver(id, 1, 0, 7));
    reports.tell(new RankReport.HandedOver(id, 1, 0, 7));
    reports.tell(new RankReport.HandedOver(id, 1, 1, 7));
    WantsWorkers wish = expectWish();
    assertEquals(new WorkerDemand(1, 1), wish.demand());
    assertTrue(wish.recovering());
    first.expectNoMessage(Duration.ofMillis(50)); // nobody is stopped
    job.tell(new JobCommand.Assign(List.of(a)));
    assertEquals(2, first.expectMessageClass(PrepareRank.class).generation());
  }

  @Test
  void ranksThatDoNotHandOverAreReminded() {
    run();
    scale(1);
    first.expectMessage(new WorkerCommand.HandOver(id, 1));
    first.expectMessage(new WorkerCommand.HandOver(id, 1));
  }

  @Test
  void aJobGrowsOnlyWhereItHasRoom() {
    run();
    job.tell(new JobCommand.Grow());
    first.expectNoMessage(Duration.ofMillis(50));
    reports.tell(failed(1, Cause.LOST_PEER, "rank 1 is lost"));
    runAlone(2);
    job.tell(new JobCommand.Grow());
    first.expectMessage(new WorkerCommand.HandOver(id, 2));
  }

  @Test
  void aRankLostWhileItHandsOverIsALoss() {
    run();
    scale(1);
    reports.tell(new RankReport.HandedOver(id, 1, 0, 7));
    job.tell(new JobCommand.LoseWorker(b, "left"));
    assertTrue(expectReason().contains("b:2 left"));
  }

  @Test
  void aScaleIsDurableAndWithinWhatTheJobAllows() {
    assertEquals("", scale(1).objection());
    JobCommand.Scaled refused = scale(3);
    assertTrue(refused.objection().contains("at most 2 workers"), refused.objection());
    assertTrue(scale(0).objection().contains("at least 1 workers"));
    assertEquals(new WorkerDemand(1, 1), refused.status().demand());
    List<Object> events = PersistenceTestKit.create(KIT.system()).persistedInStorage("job|" + id);
    assertEquals(new JobEvent.Scaled(1), events.getLast());
    assertEquals(new WorkerDemand(1, 1), expectWish().demand());
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

  @Test
  void aJobThatFindsNoWorkersGivesUp() {
    job.tell(new JobCommand.GiveUp("no worker joined in time"));
    assertEquals("no worker joined in time", expectState(JobState.FAILED).reason());
  }

  @Test
  void aCancelledJobReleasesItsWorkersAndStaysCancelled() {
    run();
    TestProbe<JobStatus> answer = KIT.createTestProbe();
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

  private void startAgain() {
    KIT.stop(job);
    job = KIT.spawn(Job.create(id, EPOCH, owner.ref(), PATIENCE));
    expectSignal(told -> told.equals(new JobSignal.LooksForWorkers(id, 1)));
  }

  private ReportTo takeOver(Worker worker, TestProbe<WorkerCommand> probe) {
    job.tell(new JobCommand.TakeOver(worker));
    return probe.expectMessageClass(ReportTo.class);
  }

  /** Brings the job to RUNNING on both workers. */
  private PrepareRank run() {
    job.tell(new JobCommand.Assign(List.of(a, b)));
    PrepareRank prepare = first.expectMessageClass(PrepareRank.class);
    second.expectMessageClass(PrepareRank.class);
    reports = prepare.reports();
    reports.tell(prepared(1, 0, -1));
    reports.tell(prepared(1, 1, -1));
    first.expectMessageClass(StartRank.class);
    second.expectMessageClass(StartRank.class);
    reports.tell(new RankReport.Started(id, 1, 0, 0));
    expectState(JobState.RUNNING);
    return prepare;
  }

  /** Brings a job that recovers to RUNNING on the first worker. */
  private void runAlone(long generation) {
    expectWish();
    first.expectMessageClass(StopRank.class);
    job.tell(new JobCommand.Assign(List.of(a)));
    reports = first.expectMessageClass(PrepareRank.class).reports();
    reports.tell(prepared(generation, 0, 0));
    first.expectMessageClass(StartRank.class);
    reports.tell(new RankReport.Started(id, generation, 0, 0));
    expectState(JobState.RUNNING);
  }

  private JobCommand.Scaled scale(int workers) {
    TestProbe<JobCommand.Scaled> answer = KIT.createTestProbe();
    job.tell(new JobCommand.Scale(workers, answer.ref()));
    return answer.receiveMessage();
  }

  private TestProbe<JobNews> watch() {
    job.tell(new JobCommand.Watch(watcher.ref()));
    return watcher;
  }

  private WantsWorkers expectWish() {
    return (WantsWorkers) expectSignal(signal -> signal instanceof WantsWorkers);
  }

  private String expectReason() {
    return expectState(JobState.RECOVERING).reason();
  }

  private JobStatus expectState(JobState state) {
    JobSignal signal =
        expectSignal(
            told -> told instanceof JobSignal.Changed changed && changed.status().state() == state);
    return ((JobSignal.Changed) signal).status();
  }

  private JobSignal expectSignal(Predicate<JobSignal> wanted) {
    return owner
        .fishForMessage(
            Duration.ofSeconds(3),
            signal ->
                wanted.test(signal)
                    ? FishingOutcomes.complete()
                    : FishingOutcomes.continueAndIgnore())
        .getLast();
  }

  private RankReport prepared(long generation, int rank, long completedStep) {
    return new RankReport.Prepared(
        id, generation, rank, new PeerAddress("h", rank), completedStep, 10);
  }

  private RankReport failed(long generation, Cause cause, String message) {
    return new RankReport.Failed(id, generation, 0, cause, message);
  }

  private static StepMetrics metrics(long step) {
    return new StepMetrics(step, 0, 1, 1, 1e-3, 1, 1, 1, 1, 1);
  }
}
