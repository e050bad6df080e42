package org.ftcluster.coordinator;

import java.util.List;
import java.util.Map;
import java.util.concurrent.BrokenBarrierException;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicLong;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.job.JobSpecReader;
import org.ftcluster.protocol.message.RankReport.StepMetrics;
import org.ftcluster.protocol.message.RankReport.TrainingResult;
import org.ftcluster.protocol.message.WorkerCommand.PeerAddress;
import org.ftcluster.worker.collective.CollectiveException;
import org.ftcluster.worker.collective.ListenAddress;
import org.ftcluster.worker.training.RankTask;

/**
 * A training that only counts its steps, together with the other ranks in this JVM. As a real one
 * it keeps its count between generations, gives it to newcomers, and ends when a rank is lost.
 */
final class CountingTask implements RankTask {
  private static final long STEP_MS = 20;

  /** Ranks of one generation, and what they tell each other. */
  private static final class Ranks {
    final CyclicBarrier barrier;
    volatile boolean aborted;
    volatile boolean handOver;
    boolean lastStep;
    final AtomicLong state = new AtomicLong(-1);

    Ranks(int size) {
      barrier = new CyclicBarrier(size, () -> lastStep = handOver);
    }

    void abort() {
      aborted = true;
      barrier.reset();
    }

    void await() {
      if (aborted) {
        throw new CollectiveException("the generation is over");
      }
      try {
        barrier.await(2, TimeUnit.SECONDS);
      } catch (BrokenBarrierException | TimeoutException e) {
        throw new CollectiveException("a peer closed its connection", e);
      } catch (InterruptedException e) {
        throw new IllegalStateException(e);
      }
    }
  }

  private static final Map<String, Ranks> GENERATIONS = new ConcurrentHashMap<>();

  private final String job;
  private final JobSpec spec;
  private volatile String generation = "";
  private long completed = -1;
  private int rank;
  private int worldSize;
  private volatile long number;

  private CountingTask(String job, JobSpec spec) {
    this.job = job;
    this.spec = spec;
  }

  static RankTask create(String job, String yaml, ListenAddress listen) {
    JobSpec spec = JobSpecReader.resolved(yaml);
    if (spec.name().startsWith("bad")) {
      throw new BadJobException("train.jsonl:3: this is not JSON.");
    }
    return new CountingTask(job, spec);
  }

  @Override
  public long completedStep() {
    return completed;
  }

  @Override
  public long steps() {
    return spec.training().maxSteps();
  }

  @Override
  public PeerAddress prepare(int rank, int worldSize, long generation, byte[] secret) {
    this.rank = rank;
    this.worldSize = worldSize;
    this.number = generation;
    this.generation = job + "/" + generation;
    GENERATIONS.computeIfAbsent(this.generation, key -> new Ranks(worldSize));
    return new PeerAddress("127.0.0.1", 1 + rank);
  }

  @Override
  public void run(List<PeerAddress> peers, int stateSource, RankEvents events) {
    Ranks ranks = GENERATIONS.get(generation);
    if (rank == stateSource) {
      ranks.state.set(completed);
    }
    ranks.await();
    completed = Math.max(ranks.state.get(), 0);
    events.started(completed);
    if (spec.name().startsWith("broken")) {
      throw new IllegalStateException("no space left on device");
    }
    while (completed < steps()) {
      pause();
      ranks.await();
      completed++;
      if (rank == 0) {
        events.stepCompleted(
            new StepMetrics(completed, 0, 1.0 / completed, 1, 1e-3, 1, 1, 1, worldSize, number));
      }
      if (ranks.lastStep) {
        events.handedOver(completed);
        return;
      }
    }
    if (rank == 0) {
      events.noted("the adapter is written");
      events.completed(
          new TrainingResult(steps(), steps(), Double.NaN, 0.5, "/a", "ab", 1, 1, steps()));
    }
  }

  @Override
  public void handOver(long generation) {
    Ranks ranks = GENERATIONS.get(job + "/" + generation);
    if (ranks != null) {
      ranks.handOver = true;
    }
  }

  @Override
  public void leave() {
    handOver(number);
  }

  @Override
  public void keepSafe() {}

  @Override
  public void stop(long generation, String reason) {
    Ranks ranks = GENERATIONS.get(job + "/" + generation);
    if (ranks != null) {
      ranks.abort();
    }
  }

  @Override
  public void close() {
    completed = -1;
  }

  private static void pause() {
    try {
      Thread.sleep(STEP_MS);
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }
}
