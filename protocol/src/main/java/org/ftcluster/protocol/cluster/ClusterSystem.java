package org.ftcluster.protocol.cluster;

import com.typesafe.config.Config;
import com.typesafe.config.ConfigFactory;
import java.net.InetAddress;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.apache.pekko.Done;
import org.apache.pekko.actor.Address;
import org.apache.pekko.actor.AddressFromURIString;
import org.apache.pekko.actor.BootstrapSetup;
import org.apache.pekko.actor.CoordinatedShutdown;
import org.apache.pekko.actor.setup.ActorSystemSetup;
import org.apache.pekko.actor.typed.ActorSystem;
import org.apache.pekko.actor.typed.Behavior;
import org.apache.pekko.cluster.typed.Cluster;
import org.apache.pekko.cluster.typed.JoinSeedNodes;
import org.apache.pekko.remote.RemoteTransportException;
import org.apache.pekko.remote.artery.tcp.SSLEngineProviderSetup;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import scala.Option;

/** Starts the actor system of a node, and lets it join the cluster. */
public final class ClusterSystem {
  /** Every node's actor system has this name. */
  public static final String NAME = "ftcluster";

  public static final String COORDINATOR = "coordinator";
  public static final String WORKER = "worker";

  private static final Config TLS =
      ConfigFactory.parseMap(Map.of("pekko.remote.artery.transport", "tls-tcp"));

  /** Streams to nodes that were cut off may not come to an end, those of TLS above all. */
  private static final Duration LONGEST_END = Duration.ofSeconds(20);

  private static final Logger LOG = LoggerFactory.getLogger(ClusterSystem.class);

  private ClusterSystem() {}

  /**
   * Returns once the node listens; joining goes on by itself, until one of the seed nodes answers.
   *
   * @param extra settings that go before {@code ftcluster.conf}
   * @throws NodeStartException when the address is unknown, taken or not allowed, or a seed node is
   *     no address
   */
  public static <T> ActorSystem<T> start(
      Behavior<T> guardian, NodeSettings settings, Config extra) {
    ActorSystem<T> system = listen(guardian, settings, extra);
    join(system, settings.seedNodes());
    return system;
  }

  /**
   * As {@link #start}, but leaves joining to {@link #join}.
   *
   * @throws NodeStartException when the address is unknown, taken or not allowed, or a seed node is
   *     no address
   */
  public static <T> ActorSystem<T> listen(
      Behavior<T> guardian, NodeSettings settings, Config extra) {
    settings.seedNodes().forEach(ClusterSystem::parse);
    InetAddress bind = settings.host().address();
    Config config =
        ConfigFactory.parseMap(
                Map.of(
                    "pekko.remote.artery.canonical.hostname", settings.host().reachable(),
                    "pekko.remote.artery.canonical.port", settings.port(),
                    "pekko.remote.artery.bind.hostname", bind.getHostAddress(),
                    "pekko.cluster.roles", List.of(settings.role())))
            .withFallback(extra)
            .withFallback(ConfigFactory.parseResources("ftcluster.conf"));
    BindAddress.requireFree(bind, settings.port());
    ActorSystem<T> system = create(guardian, settings, ConfigFactory.load(config));
    LOG.debug("{} listens at {}", settings.role(), address(system));
    return system;
  }

  /**
   * Joins the cluster of other nodes, as soon as one answers.
   *
   * @param seedNodes when empty, the node begins a cluster
   */
  public static void join(ActorSystem<?> system, List<String> seedNodes) {
    Cluster cluster = Cluster.get(system);
    List<Address> seeds = seedNodes.stream().map(ClusterSystem::parse).toList();
    cluster
        .manager()
        .tell(new JoinSeedNodes(seeds.isEmpty() ? List.of(cluster.selfMember().address()) : seeds));
  }

  /** {@code pekko://ftcluster@host:port}: what other nodes take as a seed node. */
  public static String address(ActorSystem<?> system) {
    return Cluster.get(system).selfMember().address().toString();
  }

  /** {@code host:port}: how people are told about a node. */
  public static String node(Address address) {
    return "%s:%s".formatted(address.getHost().orElse(""), address.getPort().orElse(0));
  }

  /**
   * Completes when a node has ended; with false where it has been ending for so long that nobody
   * need wait for it any more, though it may still hold its port. To be called before it ends.
   */
  public static CompletableFuture<Boolean> ended(ActorSystem<?> system) {
    return ended(system, LONGEST_END);
  }

  static CompletableFuture<Boolean> ended(ActorSystem<?> system, Duration longest) {
    CompletableFuture<Boolean> ended = new CompletableFuture<>();
    CoordinatedShutdown.get(system)
        .addTask(
            CoordinatedShutdown.PhaseBeforeServiceUnbind(),
            "limit",
            () -> {
              ended.completeOnTimeout(false, longest.toMillis(), TimeUnit.MILLISECONDS);
              return CompletableFuture.completedFuture(Done.done());
            });
    system
        .getWhenTerminated()
        .whenComplete(
            (done, failure) -> {
              if (failure == null) {
                ended.complete(true);
              } else {
                ended.completeExceptionally(failure);
              }
            });
    return ended;
  }

  private static <T> ActorSystem<T> create(
      Behavior<T> guardian, NodeSettings settings, Config config) {
    try {
      return ActorSystem.create(guardian, NAME, setup(settings, config));
    } catch (RemoteTransportException e) {
      throw BindAddress.taken(settings.host().bind(), settings.port(), e);
    }
  }

  private static ActorSystemSetup setup(NodeSettings settings, Config config) {
    return settings
        .host()
        .protection()
        .credentials()
        .map(
            credentials ->
                ActorSystemSetup.create(
                    BootstrapSetup.create(TLS.withFallback(config)),
                    SSLEngineProviderSetup.create(_ -> new MemberEngines(credentials))))
        .orElseGet(() -> ActorSystemSetup.create(BootstrapSetup.create(config)));
  }

  private static Address parse(String seedNode) {
    Option<Address> address = AddressFromURIString.unapply(seedNode);
    if (address.isEmpty() || !address.get().hasGlobalScope()) {
      throw new NodeStartException(
          "'%s' is no cluster address; one looks like pekko://%s@host:port."
              .formatted(seedNode, NAME));
    }
    return address.get();
  }
}
