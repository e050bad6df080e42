package org.ftcluster.worker.rank;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import org.apache.pekko.actor.testkit.typed.javadsl.ActorTestKit;
import org.apache.pekko.actor.typed.ActorRef;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.protocol.message.RankReport;
import org.ftcluster.protocol.message.RankReport.Cause;
import org.ftcluster.protocol.message.RankReport.Completed;
import org.ftcluster.protocol.message.RankReport.Failed;
import org.ftcluster.protocol.message.RankReport.HandedOver;
import org.ftcluster.protocol.message.RankReport.Leaving;
import org.ftcluster.protocol.message.RankReport.Prepared;
import org.ftcluster.protocol.message.RankReport.Started;
import org.ftcluster.protocol.message.RankReport.TrainingResult;
import org.ftcluster.protocol.message.WorkerCommand;
import org.ftcluster.protocol.message.WorkerCommand.LoadJob;
import org.ftcluster.protocol.message.WorkerCommand.PeerAddress;
import org.ftcluster.protocol.message.WorkerCommand.PrepareRank;
import org.ftcluster.protocol.message.WorkerCommand.StartRank;
import org.ftcluster.worker.collective.CollectiveException;
import org.ftcluster.worker.collective.ListenAddress;
import org.ftcluster.worker.tensor.NativeException;
import org.ftcluster.worker.training.RankTask;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

class RankHostTest {
  private static ActorTestKit kit;
  private static ActorRef<RankReport> nobody;

  private final List<FakeTask> created = new CopyOnWriteArrayList<>();
  private final BlockingQueue<RankReport> reports = new LinkedBlockingQueue<>();
  private RuntimeException loading;
  private final RankHost host =
      new RankHost((job, yaml, address) -> create(), ListenAddress.on("127.0.0.1"));

  @BeforeAll
  static void start() {
    kit = ActorTestKit.create();
    nobody = kit.<RankReport>createTestProbe().ref();
  }

  @AfterAll
  static void stop() {
    kit.shutdownTestKit();
  }

  @AfterEach
  void close() {
    host.close();
  }

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
    prepare("a", 1);
    next();
    start("a", 1);
    next();
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
    prepare("a", 1);
    next();
    start("a", 1);
    next();
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
  void aJobThatCannotBeLoadedLeavesNothing() throws Exception {
    loading = new BadJobException("train.jsonl is missing.");
    host.load(new LoadJob("a", "yaml"));
    await(() -> host.snapshot().job().isEmpty());
    loading = null;
    host.load(new LoadJob("b", "yaml"));
    await(() -> host.snapshot().job().equals("b"));
  }

  @Test
  void aRankThatHasHandedOverSaysSoAsOftenAsItIsAsked() throws Exception {
    prepare("a", 1);
    next();
    start("a", 1);
    next();
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
  void anotherCoordinatorHearsWhatTheOneBeforeMayHaveMissed() throws Exception {
    prepare("a", 1);
    next();
    start("a", 1);
    next();
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
  void aWorkerThatLeavesHandsOverAndTakesNoRankAnyMore() throws Exception {
    prepare("a", 1);
    next();
    start("a", 1);
    next();
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

  @Test
  void aReleasedJobFreesWhatItHeld() throws Exception {
    prepare("a", 1);
    next();
    start("a", 1);
    next();
    host.release("a");
    assertEquals(Cause.LOST_PEER, assertInstanceOf(Failed.class, next()).cause());
    awaitIdle();
    await(() -> host.snapshot().job().isEmpty());
    await(() -> created.getFirst().closed);
  }

  @Test
  void aBadJobIsReportedWithItsSentence() throws Exception {
    loading = new BadJobException("train.jsonl:3: this is not JSON.");
    prepare("a", 1);
    assertEquals(new Failed("a", 1, 0, Cause.BAD_JOB, "train.jsonl:3: this is not JSON."), next());
  }

  @Test
  void anyOtherErrorIsTheWorkers() throws Exception {
    loading = new IllegalStateException("no space left on device");
    prepare("a", 1);
    Failed failed = assertInstanceOf(Failed.class, next());
    assertEquals(Cause.WORKER_ERROR, failed.cause());
    assertTrue(failed.message().startsWith("no space left on device"), failed.message());
  }

  @Test
  void aWorkerOutOfMemoryBeginsAnew() throws Exception {
    prepare("a", 1);
    next();
    start("a", 1);
    next();
    created.getFirst().fail(new OutOfMemoryError("Java heap space"));
    assertEquals(
        new Failed("a", 1, 0, Cause.WORKER_ERROR, "the worker is out of memory: Java heap space"),
        next());
    assertTrue(created.getFirst().closed);
    prepare("a", 2);
    next();
    assertEquals(2, created.size());
  }

  @Test
  void aRankThatDoesNotStopIsStuck() throws Exception {
    prepare("a", 1);
    next();
    start("a", 1);
    next();
    created.getFirst().deaf = true;
    assertFalse(host.isStuck(Duration.ZERO));
    host.stop("a", 1, "over");
    await(() -> host.isStuck(Duration.ofMillis(1)));
    assertFalse(host.isStuck(Duration.ofHours(1)));
    assertEquals(Phase.STOPPING, host.snapshot().phase());
    created.getFirst().finish();
    awaitIdle();
  }

  @Test
  void aRankThatHangsIsReportedByNameAndItsProcessIsOfNoUse() throws Exception {
    prepare("a", 1);
    next();
    start("a", 1);
    next();
    host.watch();
    created.getFirst().deaf = true;
    created.getFirst().hang = Optional.of("the rank hangs: a micro-batch has taken 61 s so far");
    host.watch();
    host.watch();
    assertEquals(
        new Failed(
            "a", 1, 0, Cause.WORKER_ERROR, "the rank hangs: a micro-batch has taken 61 s so far"),
        next());
    assertTrue(reports.isEmpty(), "said once");
    await(() -> host.isStuck(Duration.ofHours(1)));
    created.getFirst().finish();
    awaitIdle();
  }

  @Test
  void nativeMemoryThatRanOutIsNamedAndWhatIsHeldIsFreed() throws Exception {
    prepare("a", 1);
    next();
    start("a", 1);
    next();
    created
        .getFirst()
        .fail(
            new NativeException(
                "DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes\nat x"));
    assertEquals(
        "the worker is out of memory: DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes",
        assertInstanceOf(Failed.class, next()).message());
    await(() -> created.getFirst().closed);
  }

  private void prepare(String job, long generation) {
    host.prepare(
        new PrepareRank(job, generation, 0, 1, "yaml", new byte[] {1}, nobody), reports::add);
  }

  private void start(String job, long generation) {
    host.start(new StartRank(job, generation, List.of(FakeTask.ADDRESS), -1));
  }

  private RankReport next() throws InterruptedException {
    RankReport report = reports.poll(10, TimeUnit.SECONDS);
    assertNotNull(report, "no report within 10 s");
    return report;
  }

  private void awaitIdle() throws InterruptedException {
    await(() -> host.snapshot().phase() == Phase.IDLE);
  }

  private static void await(BooleanSupplier condition) throws InterruptedException {
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(10);
    while (!condition.getAsBoolean()) {
      assertTrue(System.nanoTime() < deadline, "not within 10 s");
      Thread.sleep(5);
    }
  }

  private RankTask create() {
    if (loading != null) {
      throw loading;
    }
    FakeTask task = new FakeTask();
    created.add(task);
    return task;
  }

  /** Runs until it is told how to end. */
  private static final class FakeTask implements RankTask {
    static final PeerAddress ADDRESS = new PeerAddress("127.0.0.1", 1);

    final List<String> calls = new CopyOnWriteArrayList<>();
    final BlockingQueue<Runnable> endings = new ArrayBlockingQueue<>(8);
    volatile long completedStep = -1;
    volatile boolean closed;
    volatile boolean deaf;
    volatile Optional<String> hang = Optional.empty();

    void finish() {
      endings.add(() -> {});
    }

    void fail(Error error) {
      endings.add(
          () -> {
            throw error;
          });
    }

    void fail(RuntimeException error) {
      endings.add(
          () -> {
            throw error;
          });
    }

    @Override
    public Optional<String> hang() {
      return hang;
    }

    private static final class HandedOverException extends RuntimeException {}

    @Override
    public long completedStep() {
      return completedStep;
    }

    @Override
    public long steps() {
      return 10;
    }

    @Override
    public PeerAddress prepare(int rank, int worldSize, long generation, byte[] secret) {
      calls.add("prepare " + generation);
      endings.clear();
      return ADDRESS;
    }

    @Override
    public void run(List<PeerAddress> peers, int stateSource, RankEvents events) {
      String generation = calls.getLast().substring("prepare ".length());
      calls.add("run " + generation);
      events.started(0);
      try {
        endings.take().run();
        events.completed(new TrainingResult(10, 2, 1, "/out", "ab", 1, 1, 1));
      } catch (HandedOverException e) {
        events.handedOver(7);
      } catch (InterruptedException e) {
        throw new IllegalStateException(e);
      } finally {
        calls.add("end " + generation);
      }
    }

    @Override
    public void handOver(long generation) {
      endings.add(
          () -> {
            throw new HandedOverException();
          });
    }

    @Override
    public void leave() {
      calls.add("leave");
      handOver(0);
    }

    @Override
    public void keepSafe() {
      calls.add("keep safe");
    }

    @Override
    public void stop(long generation, String reason) {
      if (!deaf) {
        endings.add(
            () -> {
              throw new CollectiveException(reason);
            });
      }
    }

    @Override
    public void close() {
      closed = true;
    }
  }
}
