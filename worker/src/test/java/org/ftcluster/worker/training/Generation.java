package org.ftcluster.worker.training;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.ftcluster.protocol.message.RankReport.Pace;
import org.ftcluster.protocol.message.RankReport.StepMetrics;
import org.ftcluster.protocol.message.RankReport.TrainingResult;
import org.ftcluster.protocol.message.WorkerCommand.PeerAddress;
import org.jspecify.annotations.Nullable;

/** What a coordinator does for one generation, and what it hears; ranks are threads. */
final class Generation {
  static final Deadlines DEADLINES =
      new Deadlines(Duration.ofSeconds(30), Duration.ofSeconds(60), Duration.ZERO);
  private static final byte[] SECRET = "secret".getBytes(StandardCharsets.UTF_8);

  private final long number;
  private final List<? extends RankTask> tasks;

  /** By rank: how {@code run} ended; {@code null} for well. */
  final List<@Nullable RuntimeException> failures = new ArrayList<>();

  final List<StepMetrics> steps = Collections.synchronizedList(new ArrayList<>());
  final List<String> notes = Collections.synchronizedList(new ArrayList<>());
  final List<Pace> paces = Collections.synchronizedList(new ArrayList<>());
  final List<Long> handedOver = Collections.synchronizedList(new ArrayList<>());
  final List<Long> started = Collections.synchronizedList(new ArrayList<>());
  volatile @Nullable TrainingResult result;
  private volatile long stopAfterStep = Long.MAX_VALUE;
  private volatile long loseAfterStep = Long.MAX_VALUE;
  private volatile int lost;
  private volatile long handOverAfterStep = Long.MAX_VALUE;
  private volatile long leaveAfterStep = Long.MAX_VALUE;

  /**
   * @param tasks by rank
   */
  Generation(long number, List<? extends RankTask> tasks) {
    this.number = number;
    this.tasks = tasks;
    tasks.forEach(task -> failures.add(null));
  }

  /** Stops all ranks once a step is reported. */
  Generation stopAfterStep(long step) {
    stopAfterStep = step;
    return this;
  }

  /** That rank is lost once a step is reported. */
  Generation loseAfterStep(long step, int rank) {
    loseAfterStep = step;
    lost = rank;
    return this;
  }

  /** Asks the last rank, and no other, to hand over once a step is reported. */
  Generation handOverAfterStep(long step) {
    handOverAfterStep = step;
    return this;
  }

  /** The last rank wants to leave once a step is reported. */
  Generation leaveAfterStep(long step) {
    leaveAfterStep = step;
    return this;
  }

  /** Returns when all ranks have ended, and what they were saving is saved. */
  Generation run(int stateSource) throws InterruptedException {
    List<PeerAddress> peers = new ArrayList<>();
    for (int rank = 0; rank < tasks.size(); rank++) {
      peers.add(tasks.get(rank).prepare(rank, tasks.size(), number, SECRET));
    }
    CountDownLatch done = new CountDownLatch(tasks.size());
    for (int r = 0; r < tasks.size(); r++) {
      int rank = r;
      Thread.ofPlatform()
          .daemon()
          .start(
              () -> {
                try {
                  tasks.get(rank).run(peers, stateSource, new Events());
                } catch (RuntimeException e) {
                  failures.set(rank, e);
                } finally {
                  done.countDown();
                }
              });
    }
    if (!done.await(DEADLINES.progress().toSeconds() * 2, TimeUnit.SECONDS)) {
      throw new AssertionError("a rank hangs");
    }
    for (RankTask task : tasks) {
      if (task instanceof TrainingTask training) {
        training.awaitCheckpoint(() -> {});
      }
    }
    return this;
  }

  private final class Events implements RankTask.RankEvents {
    @Override
    public void started(long step) {
      started.add(step);
    }

    @Override
    public void stepCompleted(StepMetrics metrics) {
      steps.add(metrics);
      if (metrics.step() == stopAfterStep) {
        tasks.forEach(task -> task.stop(number, "enough"));
      }
      if (metrics.step() == loseAfterStep) {
        tasks.get(lost).stop(number, "lost");
      }
      if (metrics.step() == handOverAfterStep) {
        tasks.getLast().handOver(number);
      }
      if (metrics.step() == leaveAfterStep) {
        tasks.getLast().leave();
      }
    }

    @Override
    public void noted(String note) {
      notes.add(note);
    }

    @Override
    public void paced(double slowness, Pace pace) {
      paces.add(pace);
    }

    @Override
    public void handedOver(long step) {
      handedOver.add(step);
    }

    @Override
    public void completed(TrainingResult trainingResult) {
      result = trainingResult;
    }
  }
}
