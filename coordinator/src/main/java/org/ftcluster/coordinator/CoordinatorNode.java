package org.ftcluster.coordinator;

import java.net.InetAddress;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.pekko.actor.typed.ActorRef;
import org.apache.pekko.actor.typed.ActorSystem;
import org.apache.pekko.actor.typed.javadsl.Behaviors;
import org.apache.pekko.cluster.typed.ClusterSingleton;
import org.apache.pekko.cluster.typed.ClusterSingletonSettings;
import org.apache.pekko.cluster.typed.SingletonActor;
import org.ftcluster.coordinator.api.ApiServer;
import org.ftcluster.coordinator.journal.Journal;
import org.ftcluster.coordinator.registry.Coordinator;
import org.ftcluster.coordinator.registry.Term;
import org.ftcluster.protocol.cluster.BindAddress;
import org.ftcluster.protocol.cluster.ClusterSystem;
import org.ftcluster.protocol.cluster.NodeSettings;

/** A running coordinator: a node of the cluster, its journal, and the gRPC server for clients. */
public final class CoordinatorNode implements AutoCloseable {
  private static final Duration SHUTDOWN = Duration.ofSeconds(15);

  private final Journal journal;
  private final ActorSystem<Void> system;
  private final ApiServer server;

  private CoordinatorNode(Journal journal, ActorSystem<Void> system, ApiServer server) {
    this.journal = journal;
    this.system = system;
    this.server = server;
  }

  /**
   * Returns once clients and nodes can connect.
   *
   * @throws org.ftcluster.protocol.cluster.NodeStartException when it can't be started like that
   */
  public static CoordinatorNode start(CoordinatorSettings settings) {
    InetAddress host = BindAddress.resolve(settings.bindHost(), settings.insecure());
    BindAddress.requireFree(host, settings.grpcPort());
    // Both take a while to load; events are first read when the singleton starts.
    CompletableFuture<Journal> opening =
        CompletableFuture.supplyAsync(() -> Journal.open(settings.journal()));
    ActorSystem<Void> system = null;
    try {
      system =
          ClusterSystem.start(
              Behaviors.empty(),
              new NodeSettings(
                  settings.bindHost(),
                  settings.clusterPort(),
                  ClusterSystem.COORDINATOR,
                  settings.seedNodes(),
                  settings.insecure()),
              settings.journal().config());
      Journal journal = opened(opening);
      ApiServer server =
          ApiServer.start(host, settings.grpcPort(), system, singleton(system, journal, settings));
      return new CoordinatorNode(journal, system, server);
    } catch (RuntimeException e) {
      if (system != null) {
        terminate(system);
      }
      opening.thenAccept(Journal::close);
      throw e;
    }
  }

  private static Journal opened(CompletableFuture<Journal> opening) {
    try {
      return opening.join();
    } catch (CompletionException e) {
      throw e.getCause() instanceof RuntimeException cause ? cause : e;
    }
  }

  /** Where clients connect. */
  public int grpcPort() {
    return server.port();
  }

  /** What nodes join: {@code pekko://ftcluster@host:port}. */
  public String clusterAddress() {
    return ClusterSystem.address(system);
  }

  /** Returns when this node has ended: closed, or put out of the cluster. */
  public void awaitTermination() throws InterruptedException {
    try {
      system.getWhenTerminated().toCompletableFuture().get();
    } catch (ExecutionException e) {
      throw new IllegalStateException("the coordinator's actor system failed", e.getCause());
    }
  }

  @Override
  public void close() {
    server.close();
    terminate(system);
    journal.close();
  }

  private static ActorRef<Coordinator.Command> singleton(
      ActorSystem<?> system, Journal journal, CoordinatorSettings settings) {
    Term term = new JournalTerm(journal, system::terminate);
    return ClusterSingleton.get(system)
        .init(
            SingletonActor.of(Coordinator.create(settings.patience(), term), "coordinator")
                .withSettings(
                    ClusterSingletonSettings.create(system).withRole(ClusterSystem.COORDINATOR)));
  }

  private static void terminate(ActorSystem<?> system) {
    system.terminate();
    try {
      system
          .getWhenTerminated()
          .toCompletableFuture()
          .orTimeout(SHUTDOWN.toSeconds(), TimeUnit.SECONDS)
          .join();
    } catch (CompletionException e) {
      if (!(e.getCause() instanceof TimeoutException)) {
        throw e;
      }
      system.log().warn("the actor system did not end within {} s", SHUTDOWN.toSeconds());
    }
  }
}
