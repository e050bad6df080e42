package org.ftcluster.coordinator.job;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import com.typesafe.config.ConfigFactory;
import java.time.Duration;
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
import org.ftcluster.protocol.message.WorkerCommand.StartRank;
import org.ftcluster.protocol.message.WorkerCommand.StopRank;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;

/** A job between its owner and two workers, all played by the test. */
abstract class JobScene {
  static final TrainingResult RESULT = new TrainingResult(10, 10, 2, 1, "/a", "ab", 1, 1, 1);
  static final Epoch EPOCH = new Epoch("journal", 7);
  static final Patience PATIENCE =
      new Patience(
          Duration.ofMillis(400),
          Duration.ofMillis(400),
          Duration.ofSeconds(5),
          Duration.ofSeconds(1),
          Duration.ofMillis(400),
          Duration.ofMillis(10));
  static ActorTestKit kit;
  private static int jobs;

  final String id = "job-" + ++jobs;
  final TestProbe<JobSignal> owner = kit.createTestProbe();
  final TestProbe<JobNews> watcher = kit.createTestProbe();
  final TestProbe<WorkerCommand> first = kit.createTestProbe();
  final TestProbe<WorkerCommand> second = kit.createTestProbe();
  final Worker a = new Worker("a:1", first.ref());
  final Worker b = new Worker("b:2", second.ref());
  ActorRef<JobCommand> job;
  ActorRef<RankReport> reports;

  @BeforeAll
  static void start() {
    kit =
        ActorTestKit.create(
            PersistenceTestKitPlugin.config()
                .withFallback(ConfigFactory.parseResources("coordinator.conf"))
                .withFallback(ConfigFactory.load()));
  }

  @AfterAll
  static void stop() {
    kit.shutdownTestKit();
  }

  @BeforeEach
  void submit() {
    job = kit.spawn(Job.create(id, EPOCH, owner.ref(), PATIENCE));
    owner.expectMessage(new JobSignal.Unknown(id));
    TestProbe<JobStatus> submitted = kit.createTestProbe();
    job.tell(
        new JobCommand.Submit(
            new JobEvent.Submitted("name", "yaml", new WorkerDemand(1, 2)), submitted.ref()));
    assertEquals(JobState.QUEUED, submitted.receiveMessage().state());
    assertFalse(expectWish().recovering());
  }

  /** What the journal has of the job. */
  List<Object> durableEvents() {
    return PersistenceTestKit.create(kit.system()).persistedInStorage("job|" + id);
  }

  /** Brings the job to RUNNING on both workers. */
  PrepareRank run() {
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
  void runAlone(long generation) {
    expectWish();
    first.expectMessageClass(StopRank.class);
    job.tell(new JobCommand.Assign(List.of(a)));
    reports = first.expectMessageClass(PrepareRank.class).reports();
    reports.tell(prepared(generation, 0, 0));
    first.expectMessageClass(StartRank.class);
    reports.tell(new RankReport.Started(id, generation, 0, 0));
    expectState(JobState.RUNNING);
  }

  JobCommand.Scaled scale(int workers) {
    TestProbe<JobCommand.Scaled> answer = kit.createTestProbe();
    job.tell(new JobCommand.Scale(workers, answer.ref()));
    return answer.receiveMessage();
  }

  TestProbe<JobNews> watch() {
    job.tell(new JobCommand.Watch(watcher.ref()));
    return watcher;
  }

  WantsWorkers expectWish() {
    return (WantsWorkers) expectSignal(signal -> signal instanceof WantsWorkers);
  }

  String expectReason() {
    return expectState(JobState.RECOVERING).reason();
  }

  JobStatus expectState(JobState state) {
    JobSignal signal =
        expectSignal(
            told -> told instanceof JobSignal.Changed changed && changed.status().state() == state);
    return ((JobSignal.Changed) signal).status();
  }

  JobSignal expectSignal(Predicate<JobSignal> wanted) {
    return owner
        .fishForMessage(
            Duration.ofSeconds(3),
            signal ->
                wanted.test(signal)
                    ? FishingOutcomes.complete()
                    : FishingOutcomes.continueAndIgnore())
        .getLast();
  }

  RankReport prepared(long generation, int rank, long completedStep) {
    return new RankReport.Prepared(
        id, generation, rank, new PeerAddress("h", rank), completedStep, 10);
  }

  RankReport failed(long generation, Cause cause, String message) {
    return new RankReport.Failed(id, generation, 0, cause, message);
  }

  static StepMetrics metrics(long step) {
    return new StepMetrics(step, 0, 1, 1, 1e-3, 1, 1, 1, 1, 1);
  }
}
