package org.ftcluster.coordinator;

import java.net.InetAddress;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.pekko.actor.CoordinatedShutdown;
import org.apache.pekko.actor.typed.ActorRef;
import org.apache.pekko.actor.typed.ActorSystem;
import org.apache.pekko.actor.typed.javadsl.Behaviors;
import org.apache.pekko.cluster.typed.ClusterSingleton;
import org.apache.pekko.cluster.typed.ClusterSingletonSettings;
import org.apache.pekko.cluster.typed.SingletonActor;
import org.ftcluster.coordinator.api.ApiServer;
import org.ftcluster.coordinator.api.ApiService;
import org.ftcluster.coordinator.api.Forwarding;
import org.ftcluster.coordinator.journal.Journal;
import org.ftcluster.coordinator.journal.Roster;
import org.ftcluster.coordinator.registry.Coordinator;
import org.ftcluster.coordinator.registry.Term;
import org.ftcluster.protocol.cluster.BindAddress;
import org.ftcluster.protocol.cluster.ClusterSystem;
import org.ftcluster.protocol.cluster.NodeSettings;
import org.jspecify.annotations.Nullable;

/** A running coordinator: a node of the cluster, its journal, and the gRPC server for clients. */
public final class CoordinatorNode implements AutoCloseable {
  private static final Duration SHUTDOWN = Duration.ofSeconds(15);

  private final Journal journal;
  private final ActorSystem<Void> system;
  private final JournalTerm term;
  private final Peers peers;
  private final ApiServer server;
  private final CompletableFuture<Boolean> ended;

  private CoordinatorNode(
      Journal journal, ActorSystem<Void> system, JournalTerm term, Peers peers, ApiServer server) {
    this.journal = journal;
    this.system = system;
    this.term = term;
    this.peers = peers;
    this.server = server;
    this.ended = ClusterSystem.ended(system);
  }

  /**
   * Returns once clients and nodes can connect. Where other coordinators share the journal, this
   * one joins them, and one of them acts; the others hand clients' calls on to it.
   *
   * @throws org.ftcluster.protocol.cluster.NodeStartException when it can't be started like that
   */
  public static CoordinatorNode start(CoordinatorSettings settings) {
    InetAddress host = settings.host().address();
    BindAddress.requireFree(host, settings.grpcPort());
    // Both take a while to load; events are first read when the singleton starts.
    CompletableFuture<Journal> opening =
        CompletableFuture.supplyAsync(() -> Journal.open(settings.journal()));
    ActorSystem<Void> system = null;
    ApiServer server = null;
    try {
      system =
          ClusterSystem.listen(
              Behaviors.empty(),
              new NodeSettings(
                  settings.host(), settings.clusterPort(), ClusterSystem.COORDINATOR, List.of()),
              settings.journal().config());
      Journal journal = opened(opening);
      JournalTerm term = new JournalTerm(journal, system::terminate);
      AtomicReference<@Nullable Peers> joined = new AtomicReference<>();
      server =
          ApiServer.start(
              host,
              settings.grpcPort(),
              settings.host().protection(),
              new ApiService(system, singleton(system, term, settings), () -> others(joined.get())),
              new Forwarding(term::isActing, term::actingElsewhere, settings.host().protection()));
      String address = settings.host().reachable() + ":" + server.port();
      term.at(address);
      Peers peers = Peers.join(journal.roster(), system, address);
      joined.set(peers);
      return new CoordinatorNode(journal, system, term, peers, server);
    } catch (RuntimeException e) {
      if (server != null) {
        server.close();
      }
      if (system != null) {
        terminate(system);
      }
      opening.thenAccept(Journal::close);
      throw e;
    }
  }

  private static List<Roster.Entry> others(@Nullable Peers peers) {
    return peers == null ? List.of() : peers.others();
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

  /**
   * Returns when this node has ended: closed, or put out of the cluster.
   *
   * @return why it was, if it was: the process should end, and may be started again
   */
  public Optional<String> awaitTermination() throws InterruptedException {
    try {
      ended.get();
    } catch (ExecutionException e) {
      throw new IllegalStateException("the coordinator's actor system failed", e.getCause());
    }
    if (term.wasRelieved()) {
      return Optional.of("Another coordinator has begun to act; this one has ended.");
    }
    return CoordinatedShutdown.get(system).getShutdownReason().orElse(null)
            instanceof CoordinatedShutdown.ClusterDowningReason$
        ? Optional.of("The other coordinators went on without this one, which has ended.")
        : Optional.empty();
  }

  @Override
  public void close() {
    server.close();
    peers.close();
    terminate(system);
    journal.close();
  }

  private static ActorRef<Coordinator.Command> singleton(
      ActorSystem<?> system, Term term, CoordinatorSettings settings) {
    return ClusterSingleton.get(system)
        .init(
            SingletonActor.of(Coordinator.create(settings.patience(), term), "coordinator")
                .withSettings(
                    ClusterSingletonSettings.create(system)
                        .withRole(ClusterSystem.COORDINATOR)
                        // Nobody need be waited for: the epoch keeps an earlier one from acting.
                        .withRemovalMargin(Duration.ofMillis(100))));
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
