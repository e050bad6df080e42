package org.ftcluster.worker.rank;

import java.time.Duration;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.apache.pekko.actor.typed.ActorRef;
import org.ftcluster.protocol.message.RankReport;
import org.ftcluster.protocol.message.WorkerCommand;
import org.ftcluster.protocol.message.WorkerCommand.LoadJob;
import org.ftcluster.protocol.message.WorkerCommand.PeerAddress;
import org.ftcluster.protocol.message.WorkerCommand.PrepareRank;
import org.ftcluster.protocol.message.WorkerCommand.StartRank;
import org.ftcluster.worker.collective.ListenAddress;
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

  /** In which what was said of a rank that hangs gets through, before its process ends. */
  private static final Duration HUNG_PATIENCE = Duration.ofSeconds(2);

  private final ExecutorService thread =
      Executors.newSingleThreadExecutor(Thread.ofPlatform().daemon().name("rank").factory());

  /** The newest order; null before the first, and once its job was released. */
  private @Nullable RankOrder order;

  /** The order whose task is at work on the thread, other than loading. */
  private @Nullable RankOrder running;

  /** Whether that task was judged to stand still. Guarded by this. */
  private boolean hung;

  private final Resident resident;

  /** Why this worker is about to leave; null while it isn't. Guarded by this. */
  private @Nullable String leaving;

  /** The job that is loaded without a rank, or empty. Guarded by this. */
  private String loading = "";

  /**
   * @param listen where collectives listen
   */
  RankHost(RankTask.Factory factory, ListenAddress listen) {
    this.resident = new Resident(factory, listen);
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
    if (leaving != null) {
      next.failed(RankReport.Cause.LOST_PEER, "the worker leaves: " + leaving);
      return;
    }
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
    if (order == null && resident.job().isEmpty() && loading.isEmpty() && leaving == null) {
      loading = command.job();
      thread.execute(() -> load(command.job(), command.jobYaml()));
    }
  }

  /** Tells another coordinator of a generation that it takes over. */
  synchronized void reportTo(
      String job, long generation, Consumer<RankReport> coordinator, ActorRef<WorkerCommand> self) {
    RankOrder current = order;
    if (current != null && current.is(job, generation)) {
      current.reportTo(coordinator, self);
    }
  }

  /**
   * Whether what the rank has said went to a coordinator that it was sent to since then, or it has
   * nothing to say.
   *
   * @param nanoTime a {@link System#nanoTime}
   */
  synchronized boolean isHeardSince(long nanoTime) {
    RankOrder current = order;
    return current == null || current.isHeardSince(nanoTime);
  }

  synchronized void noteHeard(String job, long generation, String note) {
    RankOrder current = order;
    if (current != null && current.is(job, generation)) {
      current.noteHeard(note);
    }
  }

  /** Ends a generation after the step at hand. Says so again if it has ended like that already. */
  synchronized void handOver(String job, long generation) {
    RankOrder current = order;
    if (current != null && current.is(job, generation)) {
      current.confirmHandOver();
      resident.of(job).ifPresent(task -> task.handOver(generation));
    }
  }

  /**
   * Takes no rank from now on. One that trains hands over after the step at hand; one that only
   * prepares is given up.
   *
   * @return done when nothing is at work any more, and what this process alone held is durable
   */
  synchronized Future<?> leave(String reason) {
    if (leaving == null) {
      leaving = reason;
      leave(order, reason);
    }
    return thread.submit(() -> resident.ifLoaded(RankTask::keepSafe));
  }

  private void leave(@Nullable RankOrder current, String reason) {
    if (current == null || current.isStopped()) {
      return;
    }
    if (current.phase() == Phase.TRAINING) {
      current.leaving(reason);
      resident.ifLoaded(RankTask::leave);
    } else if (current.phase() == Phase.PREPARING) {
      current.failed(RankReport.Cause.LOST_PEER, "the worker leaves: " + reason);
      stop(current, "the worker leaves");
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
          if (resident.of(job).isPresent()) {
            resident.close();
          }
        });
  }

  synchronized RankState snapshot() {
    return leaving == null ? work() : work().draining();
  }

  private RankState work() {
    RankOrder working = running;
    if (working != null && working.isStopped()) {
      return working.state(Phase.STOPPING);
    }
    RankOrder current = order;
    if (current == null) {
      return loading.isEmpty()
          ? new RankState(Phase.IDLE, resident.job(), -1, 0)
          : new RankState(Phase.PREPARING, loading, -1, 0);
    }
    if (current.isStopped() || current.phase() == Phase.IDLE) {
      return new RankState(Phase.IDLE, current.job(), -1, current.generation());
    }
    RankState state = current.state(current.phase());
    return state.phase() == Phase.TRAINING
        ? resident.of(current.job()).map(task -> state.with(task.slowness())).orElse(state)
        : state;
  }

  /**
   * Looks whether the rank stands still in work of its own. One that does is reported as failed and
   * told to stop; the others go on without it. To be called regularly.
   */
  synchronized void watch() {
    RankOrder working = running;
    if (working == null || working.isStopped()) {
      return;
    }
    resident
        .of(working.job())
        .flatMap(RankTask::hang)
        .ifPresent(
            hang -> {
              LOG.error("rank {} of {}: {}", working.rank(), working.job(), hang);
              hung = true;
              working.failed(RankReport.Cause.WORKER_ERROR, hang);
              stop(working, hang);
            });
  }

  /**
   * Whether a rank that was told to stop hasn't, for longer than {@code patience}; one that had
   * stood still before isn't waited for.
   */
  synchronized boolean isStuck(Duration patience) {
    Duration left = hung ? HUNG_PATIENCE : patience;
    return running != null && running.wasStoppedBefore(System.nanoTime() - left.toNanos());
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
      thread.execute(resident::close);
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
    if (order.stop(reason)) {
      resident.of(order.job()).ifPresent(task -> task.stop(order.generation(), reason));
    }
  }

  private void load(String job, String yaml) {
    try {
      resident.load(job, yaml);
    } catch (Throwable e) {
      LOG.warn("{} can't be loaded here: {}", job, RankFailure.sentence(e));
      if (e instanceof Error) {
        resident.close();
      }
    } finally {
      synchronized (this) {
        loading = "";
      }
    }
  }

  private void prepare(RankOrder order) {
    try {
      order.requireNotStopped(); // before loading for nobody
      // Loading isn't part of a generation: it goes on when that is over, for the next.
      RankTask task = resident.load(order.job(), order.yaml());
      task.take(order.rank(), order.worldSize());
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
    RankTask prepared = resident.of(order.job()).orElse(null);
    if (prepared == null || order.phase() != Phase.PREPARING) {
      return; // it could not be prepared, which was reported
    }
    try {
      begin(order);
      order.enter(Phase.TRAINING);
      prepared.run(command.peers(), command.stateSource(), order);
      order.enter(Phase.IDLE);
    } catch (Throwable e) {
      failed(order, e);
    } finally {
      end();
    }
  }

  /** From here on a stop is for the task. */
  private synchronized void begin(RankOrder order) {
    order.requireNotStopped();
    running = order;
  }

  private synchronized void end() {
    running = null;
    hung = false; // it was only slow
  }

  private void failed(RankOrder order, Throwable e) {
    order.enter(Phase.IDLE);
    RankReport.Cause cause = RankFailure.cause(e);
    if (cause == RankReport.Cause.WORKER_ERROR) {
      LOG.error("rank {} of {} failed", order.rank(), order.job(), e);
    }
    if (e instanceof Error || RankFailure.isOutOfMemory(e)) {
      resident.close(); // or worse: begin anew
    }
    order.failed(cause, RankFailure.sentence(e));
  }
}
