package org.ftcluster.worker.rank;

import java.time.Duration;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.ftcluster.protocol.message.RankReport;
import org.ftcluster.protocol.message.WorkerCommand.LoadJob;
import org.ftcluster.protocol.message.WorkerCommand.PeerAddress;
import org.ftcluster.protocol.message.WorkerCommand.PrepareRank;
import org.ftcluster.protocol.message.WorkerCommand.StartRank;
import org.ftcluster.worker.collective.CollectiveException;
import org.ftcluster.worker.training.RankTask;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The rank of this process: runs a job's {@link RankTask} on a thread of its own, one generation
 * after the other, and keeps the task between them. It knows nothing of the cluster, so that
 * training goes on while that can't be reached.
 *
 * <p>Methods return at once and may be called from any thread. What is asked of the thread happens
 * in the order it was asked: a new generation begins when the old one has ended.
 */
final class RankHost implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(RankHost.class);
  private static final long CLOSE_SECONDS = 5;

  /** What the rank does. */
  enum Phase {
    IDLE,
    PREPARING,
    TRAINING,
    /** Told to stop, and not there yet. */
    STOPPING
  }

  /**
   * What the rank does, at one moment.
   *
   * @param job the one it works for, loads, or whose state it holds; or empty
   * @param rank -1 while it has none
   */
  record Snapshot(Phase phase, String job, int rank, long generation) {}

  private record Resident(String job, RankTask task) {}

  private final RankTask.Factory factory;
  private final String host;
  private final ExecutorService thread =
      Executors.newSingleThreadExecutor(Thread.ofPlatform().daemon().name("rank").factory());

  /** The newest order; null before the first, and once its job was released. */
  private @Nullable RankOrder order;

  /** The order whose task is at work on the thread, other than loading. */
  private @Nullable RankOrder running;

  /** Written by the rank's thread only. */
  private volatile @Nullable Resident resident;

  /** The job that is loaded without a rank, or empty. Guarded by this. */
  private String loading = "";

  /**
   * @param host where listeners of collectives bind
   */
  RankHost(RankTask.Factory factory, String host) {
    this.factory = factory;
    this.host = host;
  }

  /**
   * Ends what runs, and prepares a rank of another generation, or another job. Does nothing when
   * this or a newer generation of the job is known already.
   *
   * @param reports hears of the rank from whatever thread; must return at once
   */
  synchronized void prepare(PrepareRank command, Consumer<RankReport> reports) {
    RankOrder known = order;
    if (known != null && known.isAtLeast(command.job(), command.generation())) {
      return;
    }
    if (known != null) {
      stop(known, "generation %d begins".formatted(command.generation()));
    }
    RankOrder next = new RankOrder(command, reports);
    order = next;
    thread.execute(() -> prepare(next));
  }

  /** Lets the prepared rank train. Does nothing unless it is of that generation. */
  synchronized void start(StartRank command) {
    RankOrder current = order;
    if (current != null && current.is(command.job(), command.generation())) {
      thread.execute(() -> run(current, command));
    }
  }

  /**
   * Loads a job that this worker may take part in later; the snapshot shows when that is done. Does
   * nothing where this process has another job, or has loaded this one.
   */
  synchronized void load(LoadJob command) {
    Resident known = resident;
    if (order == null && known == null && loading.isEmpty()) {
      loading = command.job();
      thread.execute(() -> load(command.job(), command.jobYaml()));
    }
  }

  /** Ends a generation after the step at hand. Says so again if it has ended like that already. */
  synchronized void handOver(String job, long generation) {
    RankOrder current = order;
    Resident known = resident;
    if (current == null || !current.is(job, generation)) {
      return;
    }
    current.confirmHandOver();
    if (known != null && known.job().equals(job)) {
      known.task().handOver(generation);
    }
  }

  /** Ends a generation, or an older one of the same job; what its task holds is kept. */
  synchronized void stop(String job, long generation, String reason) {
    RankOrder current = order;
    if (current != null && current.job().equals(job) && current.generation() <= generation) {
      stop(current, reason);
    }
  }

  /** Ends the job here, and frees what it holds. */
  synchronized void release(String job) {
    RankOrder current = order;
    if (current != null && current.job().equals(job)) {
      stop(current, "the job has ended");
      order = null;
    }
    thread.execute(
        () -> {
          if (holds(job)) {
            closeTask();
          }
        });
  }

  synchronized Snapshot snapshot() {
    RankOrder working = running;
    if (working != null && working.isStopped()) {
      return new Snapshot(Phase.STOPPING, working.job(), working.rank(), working.generation());
    }
    RankOrder current = order;
    if (current == null) {
      Resident known = resident;
      return loading.isEmpty()
          ? new Snapshot(Phase.IDLE, known == null ? "" : known.job(), -1, 0)
          : new Snapshot(Phase.PREPARING, loading, -1, 0);
    }
    return current.isStopped() || current.phase() == Phase.IDLE
        ? new Snapshot(Phase.IDLE, current.job(), -1, current.generation())
        : new Snapshot(current.phase(), current.job(), current.rank(), current.generation());
  }

  /** Whether a rank that was told to stop hasn't, for longer than {@code patience}. */
  synchronized boolean isStuck(Duration patience) {
    return running != null && running.wasStoppedBefore(System.nanoTime() - patience.toNanos());
  }

  /** Ends what runs and frees everything; waits for that, but not for long. */
  @Override
  public void close() {
    synchronized (this) {
      if (thread.isShutdown()) {
        return;
      }
      if (order != null) {
        stop(order, "the worker ends");
      }
      thread.execute(this::closeTask);
      thread.shutdown();
    }
    try {
      if (!thread.awaitTermination(CLOSE_SECONDS, TimeUnit.SECONDS)) {
        LOG.warn("the rank did not end within {} s", CLOSE_SECONDS);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private void stop(RankOrder order, String reason) {
    Resident current = resident;
    if (order.stop(reason) && current != null && current.job().equals(order.job())) {
      current.task().stop(order.generation(), reason);
    }
  }

  private void load(String job, String yaml) {
    try {
      task(job, yaml);
    } catch (Throwable e) {
      LOG.warn("{} can't be loaded here: {}", job, RankFailure.sentence(e));
      if (e instanceof Error) {
        closeTask();
      }
    } finally {
      synchronized (this) {
        loading = "";
      }
    }
  }

  private void prepare(RankOrder order) {
    try {
      requireNotStopped(order); // before loading for nobody
      RankTask task = task(order.job(), order.yaml());
      begin(order);
      PeerAddress address =
          task.prepare(order.rank(), order.worldSize(), order.generation(), order.secret());
      order.prepared(address, task.completedStep(), task.steps());
    } catch (Throwable e) {
      failed(order, e);
    } finally {
      end();
    }
  }

  private void run(RankOrder order, StartRank command) {
    Resident prepared = resident;
    if (prepared == null || order.phase() != Phase.PREPARING) {
      return; // it could not be prepared, which was reported
    }
    try {
      begin(order);
      order.enter(Phase.TRAINING);
      prepared.task().run(command.peers(), command.stateSource(), order);
      order.enter(Phase.IDLE);
    } catch (Throwable e) {
      failed(order, e);
    } finally {
      end();
    }
  }

  /** Loading isn't part of a generation: it goes on when that is over, for the next. */
  private RankTask task(String job, String yaml) {
    Resident known = resident;
    if (known != null && known.job().equals(job)) {
      return known.task();
    }
    closeTask();
    RankTask created = factory.create(job, yaml, host);
    resident = new Resident(job, created);
    return created;
  }

  /** From here on a stop is for the task. */
  private synchronized void begin(RankOrder order) {
    requireNotStopped(order);
    running = order;
  }

  private synchronized void end() {
    running = null;
  }

  private static void requireNotStopped(RankOrder order) {
    if (order.isStopped()) {
      throw new CollectiveException(order.stopReason());
    }
  }

  private void failed(RankOrder order, Throwable e) {
    order.enter(Phase.IDLE);
    RankReport.Cause cause = RankFailure.cause(e);
    if (cause == RankReport.Cause.WORKER_ERROR) {
      LOG.error("rank {} of {} failed", order.rank(), order.job(), e);
    }
    if (e instanceof Error) {
      closeTask(); // out of memory, or worse: begin anew
    }
    order.failed(cause, RankFailure.sentence(e));
  }

  private boolean holds(String job) {
    Resident current = resident;
    return current != null && current.job().equals(job);
  }

  private void closeTask() {
    Resident closing = resident;
    resident = null;
    if (closing != null) {
      try {
        closing.task().close();
      } catch (RuntimeException e) {
        LOG.warn("what {} held could not be freed", closing.job(), e);
      }
    }
  }
}
