package org.ftcluster.worker.rank;

import com.typesafe.config.ConfigFactory;
import java.net.InetAddress;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.pekko.actor.CoordinatedShutdown;
import org.apache.pekko.actor.typed.ActorSystem;
import org.ftcluster.protocol.cluster.BindAddress;
import org.ftcluster.protocol.cluster.ClusterSystem;
import org.ftcluster.protocol.cluster.NodeSettings;
import org.ftcluster.protocol.cluster.NodeStartException;
import org.ftcluster.worker.training.RankTask;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A running worker: a rank, and the node of the cluster through which it is commanded. The rank
 * outlives the node: when the cluster is lost, training goes on, and the worker joins anew.
 */
public final class WorkerNode implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(WorkerNode.class);
  private static final Duration SHUTDOWN = Duration.ofSeconds(15);
  private static final Duration BETWEEN_TRIES = Duration.ofSeconds(1);

  private final WorkerSettings settings;
  private final RankHost rank;

  /** Completed with why the worker ended by itself, if it did. */
  private final CompletableFuture<Optional<String>> ended = new CompletableFuture<>();

  private @Nullable ActorSystem<WorkerGuardian.Command> node;
  private boolean closed;

  private WorkerNode(WorkerSettings settings, RankHost rank) {
    this.settings = settings;
    this.rank = rank;
  }

  /**
   * Returns once the worker listens; it joins the cluster by itself as soon as a coordinator
   * answers.
   *
   * @param tasks makes what trains a job
   * @throws org.ftcluster.protocol.cluster.NodeStartException when it can't be started like that
   */
  public static WorkerNode start(WorkerSettings settings, RankTask.Factory tasks) {
    InetAddress host = BindAddress.resolve(settings.bindHost(), settings.insecure());
    RankHost rank = new RankHost(tasks, BindAddress.reachable(host));
    WorkerNode worker = new WorkerNode(settings, rank);
    try {
      ActorSystem<WorkerGuardian.Command> first = worker.join();
      Thread.ofPlatform().daemon().name("worker-node").start(() -> worker.stayJoined(first));
      return worker;
    } catch (RuntimeException e) {
      rank.close();
      throw e;
    }
  }

  /**
   * Returns when this worker has ended: closed, or given up.
   *
   * @return why it gave up, if it did: the process is of no use then, and should end
   */
  public Optional<String> awaitTermination() throws InterruptedException {
    try {
      return ended.get();
    } catch (ExecutionException e) {
      throw new IllegalStateException("the worker failed", e.getCause());
    }
  }

  /** Leaves the cluster, and ends the rank. */
  @Override
  public void close() {
    ActorSystem<WorkerGuardian.Command> leaving;
    synchronized (this) {
      closed = true;
      leaving = node;
    }
    if (leaving != null) {
      leaving.terminate();
      try {
        leaving
            .getWhenTerminated()
            .toCompletableFuture()
            .get(SHUTDOWN.toSeconds(), TimeUnit.SECONDS);
      } catch (TimeoutException | ExecutionException e) {
        LOG.warn("the node did not leave the cluster in order", e);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      }
    }
    rank.close();
    ended.complete(Optional.empty());
  }

  private void stayJoined(ActorSystem<WorkerGuardian.Command> first) {
    try {
      ActorSystem<WorkerGuardian.Command> current = first;
      while (current != null) {
        current.getWhenTerminated().toCompletableFuture().get();
        if (isClosed() || isProcessEnding(current)) {
          break;
        }
        if (rank.isStuck(WorkerGuardian.STOP_PATIENCE)) {
          ended.complete(
              Optional.of(
                  "The rank was told to stop and did not within %d s."
                      .formatted(WorkerGuardian.STOP_PATIENCE.toSeconds())));
          return;
        }
        LOG.warn("the cluster is lost; training goes on while this worker joins anew");
        current = joinAnew();
      }
      ended.complete(Optional.empty());
    } catch (InterruptedException | ExecutionException | RuntimeException e) {
      ended.completeExceptionally(e);
    }
  }

  private @Nullable ActorSystem<WorkerGuardian.Command> joinAnew() throws InterruptedException {
    while (true) {
      try {
        return join();
      } catch (RuntimeException e) {
        LOG.info("can't join a cluster now: {}", e.getMessage());
        Thread.sleep(BETWEEN_TRIES);
      }
    }
  }

  /** Null when this worker was closed. */
  private @Nullable ActorSystem<WorkerGuardian.Command> join() {
    List<String> seedNodes = settings.seedNodes().find();
    if (seedNodes.isEmpty()) {
      throw new NodeStartException("A worker needs the address of a coordinator to join.");
    }
    NodeSettings next =
        new NodeSettings(
            settings.bindHost(),
            settings.clusterPort(),
            ClusterSystem.WORKER,
            seedNodes,
            settings.insecure());
    synchronized (this) {
      if (closed) {
        return null;
      }
      node =
          ClusterSystem.start(
              WorkerGuardian.create(rank, settings.device()), next, ConfigFactory.empty());
      return node;
    }
  }

  private synchronized boolean isClosed() {
    return closed;
  }

  private static boolean isProcessEnding(ActorSystem<?> system) {
    return CoordinatedShutdown.get(system)
        .getShutdownReason()
        .filter(CoordinatedShutdown.jvmExitReason()::equals)
        .isPresent();
  }
}
