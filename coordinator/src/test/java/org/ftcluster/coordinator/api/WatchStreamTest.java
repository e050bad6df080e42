package org.ftcluster.coordinator.api;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.grpc.Status;
import io.grpc.stub.ServerCallStreamObserver;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.BooleanSupplier;
import org.apache.pekko.actor.testkit.typed.javadsl.ActorTestKit;
import org.apache.pekko.actor.testkit.typed.javadsl.TestProbe;
import org.apache.pekko.actor.typed.ActorRef;
import org.ftcluster.coordinator.job.JobCommand;
import org.ftcluster.coordinator.job.JobNews;
import org.ftcluster.coordinator.job.JobState;
import org.ftcluster.coordinator.job.JobStatus;
import org.ftcluster.coordinator.job.WorkerDemand;
import org.ftcluster.protocol.api.JobUpdate;
import org.ftcluster.protocol.message.RankReport.StepMetrics;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;

class WatchStreamTest {
  private static final ActorTestKit KIT = ActorTestKit.create();

  private final Client client = new Client();
  private final TestProbe<JobCommand> job = KIT.createTestProbe();
  private final ActorRef<WatchStream.Command> stream = KIT.spawn(WatchStream.create(client));
  private ActorRef<JobNews> news;

  @AfterAll
  static void stop() {
    KIT.shutdownTestKit();
  }

  @Test
  void everyUpdateReachesAClientThatReads() throws Exception {
    client.ready = true;
    follow();
    news.tell(changed(JobState.RUNNING));
    news.tell(stepped(1));
    news.tell(changed(JobState.CANCELLED));
    await(() -> client.completed);
    assertEquals(
        List.of("RUNNING", "RUNNING 1", "CANCELLED"),
        client.updates.stream().map(this::text).toList());
  }

  @Test
  void aSlowClientMissesStepsButNoChangeAndIsSentTheEnd() throws Exception {
    follow();
    news.tell(changed(JobState.RUNNING));
    int steps = WatchStream.MAX_WAITING + 100;
    for (int step = 1; step <= steps; step++) {
      news.tell(stepped(step));
    }
    news.tell(changed(JobState.FAILED));
    await(() -> client.asked.get() == steps + 2);
    client.ready = true;
    stream.tell(new WatchStream.Ready());
    await(() -> client.completed);
    assertEquals(WatchStream.MAX_WAITING, client.updates.size());
    assertEquals("RUNNING", text(client.updates.getFirst()));
    assertEquals("RUNNING " + steps, text(client.updates.get(client.updates.size() - 2)));
    assertEquals("FAILED", text(client.updates.getLast()));
  }

  @Test
  void aJobThatStopsLeavesTheClientToTryAgain() throws Exception {
    client.ready = true;
    follow();
    job.stop();
    await(() -> client.error != null);
    assertEquals(Status.Code.UNAVAILABLE, Status.fromThrowable(client.error).getCode());
  }

  private void follow() {
    stream.tell(new WatchStream.Follow(job.ref()));
    news = job.expectMessageClass(JobCommand.Watch.class).watcher();
  }

  private String text(JobUpdate update) {
    return update.getJob().getState() + (update.hasStep() ? " " + update.getStep().getStep() : "");
  }

  private static JobNews changed(JobState state) {
    return new JobNews.Changed(status(state));
  }

  private static JobNews stepped(long step) {
    return new JobNews.Stepped(
        status(JobState.RUNNING), new StepMetrics(step, 0, 1, 1, 1e-3, 1, 1, 1, 1, 1));
  }

  private static JobStatus status(JobState state) {
    return new JobStatus("job-1", "job", state, 0, 10, 1, new WorkerDemand(1, 2), 1, "", "", null);
  }

  private static void await(BooleanSupplier condition) throws InterruptedException {
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(10);
    while (!condition.getAsBoolean()) {
      assertTrue(System.nanoTime() < deadline, "not within 10 s");
      Thread.sleep(5);
    }
  }

  /** A client that reads when the test says so. */
  private static final class Client extends ServerCallStreamObserver<JobUpdate> {
    final List<JobUpdate> updates = new CopyOnWriteArrayList<>();
    final AtomicInteger asked = new AtomicInteger();
    volatile boolean ready;
    volatile boolean completed;
    volatile Throwable error;

    @Override
    public boolean isReady() {
      asked.incrementAndGet();
      return ready;
    }

    @Override
    public void onNext(JobUpdate update) {
      updates.add(update);
    }

    @Override
    public void onError(Throwable failure) {
      error = failure;
    }

    @Override
    public void onCompleted() {
      completed = true;
    }

    @Override
    public boolean isCancelled() {
      return false;
    }

    @Override
    public void setOnCancelHandler(Runnable handler) {}

    @Override
    public void setOnReadyHandler(Runnable handler) {}

    @Override
    public void setCompression(String compression) {}

    @Override
    public void setMessageCompression(boolean enable) {}

    @Override
    public void disableAutoInboundFlowControl() {}

    @Override
    public void request(int count) {}
  }
}
