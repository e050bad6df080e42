package org.ftcluster.worker.rank;

import com.typesafe.config.Config;
import com.typesafe.config.ConfigFactory;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.pekko.actor.typed.ActorSystem;
import org.ftcluster.protocol.cluster.ClusterSystem;
import org.ftcluster.protocol.cluster.NodeHost;
import org.ftcluster.protocol.cluster.NodeSettings;
import org.ftcluster.protocol.cluster.NodeStartException;
import org.ftcluster.worker.collective.ListenAddress;
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

  /** Whoever asks for a drain has time. */
  private static final Duration AS_ASKED = Duration.ofMinutes(10);

  /**
   * A signal ends the process only after the worker has handed over: its node must outlive that.
   */
  private static final Config SIGNALS_ARE_OURS =
      ConfigFactory.parseMap(
          Map.of(
              "pekko.jvm-shutdown-hooks", "off",
              "pekko.coordinated-shutdown.run-by-jvm-shutdown-hook", "off"));

  private static final Duration BETWEEN_TRIES = Duration.ofSeconds(1);

  private static final Duration BETWEEN_LOOKS = Duration.ofMillis(100);

  /** In which a worker that leaves finds a coordinator that has begun meanwhile. */
  private static final Duration TO_BE_HEARD = Duration.ofSeconds(10);

  /** How often this worker looks for coordinators other than its own. */
  private static final Duration LOOK = Duration.ofSeconds(2);

  /** Looks in which a node should have joined. */
  private static final int LOOKS_TO_JOIN = 8;

  private final WorkerSettings settings;
  private final RankHost rank;
  private final Allegiance allegiance = new Allegiance();

  /** Completed with why the worker ended by itself, if it did. */
  private final CompletableFuture<Optional<String>> ended = new CompletableFuture<>();

  private @Nullable ActorSystem<WorkerGuardian.Command> node;
  private long nodeSinceNs;
  private boolean closed;
  private @Nullable Thread leaving;

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
    NodeHost host = settings.host();
    RankHost rank =
        new RankHost(
            tasks,
            new ListenAddress(
                host.address().getHostAddress(),
                settings.collectivePort(),
                host.reachable(),
                host.protection()));
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

  /**
   * Begins to leave, and returns at once: takes no rank any more, hands over what there is, and
   * then closes. Only the first call counts.
   *
   * @param reason a clause, for the job's history
   * @param grace how long handing over may take; after it this worker is simply gone
   */
  public synchronized void leave(String reason, Duration grace) {
    if (leaving == null && !closed) {
      LOG.info("this worker leaves: {}", reason);
      Future<?> handedOver = rank.leave(reason);
      leaving =
          Thread.ofPlatform().daemon().name("leave").start(() -> closeAfter(handedOver, grace));
    }
  }

  /** The longest that {@link #leaveAndWait} takes. */
  public static Duration longestFarewell(Duration grace) {
    return grace.plus(SHUTDOWN);
  }

  /** Leaves, and returns when that is done, or {@code grace} and a little more have passed. */
  public void leaveAndWait(String reason, Duration grace) {
    leave(reason, grace);
    Thread thread;
    synchronized (this) {
      thread = leaving;
    }
    try {
      if (thread != null && !thread.join(longestFarewell(grace))) {
        LOG.warn("this worker could not leave in order");
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private void closeAfter(Future<?> handedOver, Duration grace) {
    long endNs = System.nanoTime() + grace.toNanos();
    try {
      handedOver.get(grace.toMillis(), TimeUnit.MILLISECONDS);
      awaitHeard(Math.min(endNs, System.nanoTime() + TO_BE_HEARD.toNanos()));
    } catch (TimeoutException e) {
      LOG.warn("the rank did not hand over within {} s", grace.toSeconds());
    } catch (ExecutionException e) {
      LOG.error("what this worker alone holds could not be saved", e.getCause());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    close();
  }

  /**
   * A coordinator that begins while this worker hands over hears of it once the worker has joined
   * it; of one that is just gone, it couldn't tell why.
   */
  private void awaitHeard(long endNs) throws InterruptedException {
    while (!isHeard()) {
      if (System.nanoTime() > endNs) {
        LOG.warn("no coordinator has heard that this worker has handed over");
        return;
      }
      Thread.sleep(BETWEEN_LOOKS);
    }
  }

  private boolean isHeard() {
    ActorSystem<WorkerGuardian.Command> current;
    long since;
    synchronized (this) {
      current = node;
      since = nodeSinceNs;
    }
    return current != null
        && rank.isHeardSince(since)
        && Membership.of(current, settings.seedNodes().coordinators()) == Membership.SHARED;
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
        boolean gone = awaitEnd(current);
        if (isClosed()) {
          break;
        }
        if (!gone && settings.clusterPort() != 0) {
          ended.complete(
              Optional.of(
                  "The node that has lost its cluster doesn't let go of port %d; start this worker again."
                      .formatted(settings.clusterPort())));
          return;
        }
        if (rank.isStuck(WorkerGuardian.STOP_PATIENCE)) {
          ended.complete(
              Optional.of("The rank stands still and can't be stopped; start this worker again."));
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

  /**
   * Returns when the node has ended. Ends it when the coordinator that answers now is none of its
   * cluster: long before the cluster notices that its own has gone.
   *
   * @return whether nothing is left of it
   */
  private boolean awaitEnd(ActorSystem<WorkerGuardian.Command> node)
      throws InterruptedException, ExecutionException {
    CompletableFuture<Boolean> end = ClusterSystem.ended(node);
    int elsewhere = 0;
    while (true) {
      try {
        return end.get(LOOK.toMillis(), TimeUnit.MILLISECONDS);
      } catch (TimeoutException e) {
        Membership membership = Membership.of(node, settings.seedNodes().coordinators());
        elsewhere =
            switch (membership) {
              case SHARED, UNANSWERED -> 0;
              case NONE, OTHERS -> elsewhere + 1;
            };
        if (membership == Membership.OTHERS || elsewhere > LOOKS_TO_JOIN) {
          node.terminate();
        }
      }
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
        new NodeSettings(settings.host(), settings.clusterPort(), ClusterSystem.WORKER, seedNodes);
    synchronized (this) {
      if (closed) {
        return null;
      }
      nodeSinceNs = System.nanoTime();
      node =
          ClusterSystem.start(
              WorkerGuardian.create(
                  rank, allegiance, reason -> leave(reason, AS_ASKED), settings.device()),
              next,
              SIGNALS_ARE_OURS);
      return node;
    }
  }

  private synchronized boolean isClosed() {
    return closed;
  }
}
