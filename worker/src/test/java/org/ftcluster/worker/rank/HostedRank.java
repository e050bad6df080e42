package org.ftcluster.worker.rank;

import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import org.apache.pekko.actor.testkit.typed.javadsl.ActorTestKit;
import org.apache.pekko.actor.typed.ActorRef;
import org.ftcluster.protocol.message.RankReport;
import org.ftcluster.protocol.message.WorkerCommand.PrepareRank;
import org.ftcluster.protocol.message.WorkerCommand.StartRank;
import org.ftcluster.worker.collective.ListenAddress;
import org.ftcluster.worker.training.RankTask;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;

/** A host whose tasks are {@link FakeTask}s, and what its rank reports. */
abstract class HostedRank {
  static ActorTestKit kit;
  private static ActorRef<RankReport> nobody;

  final List<FakeTask> created = new CopyOnWriteArrayList<>();
  final BlockingQueue<RankReport> reports = new LinkedBlockingQueue<>();

  /** What loading a job fails with; null when it doesn't. */
  RuntimeException loading;

  final RankHost host =
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

  /** A rank that trains, its reports of that taken. */
  void train(String job, long generation) throws InterruptedException {
    prepare(job, generation);
    next();
    start(job, generation);
    next();
  }

  void prepare(String job, long generation) {
    host.prepare(
        new PrepareRank(job, generation, 0, 1, "yaml", new byte[] {1}, nobody), reports::add);
  }

  void start(String job, long generation) {
    host.start(new StartRank(job, generation, List.of(FakeTask.ADDRESS), -1));
  }

  RankReport next() throws InterruptedException {
    RankReport report = reports.poll(10, TimeUnit.SECONDS);
    assertNotNull(report, "no report within 10 s");
    return report;
  }

  void awaitIdle() throws InterruptedException {
    await(() -> host.snapshot().phase() == Phase.IDLE);
  }

  static void await(BooleanSupplier condition) throws InterruptedException {
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
}
