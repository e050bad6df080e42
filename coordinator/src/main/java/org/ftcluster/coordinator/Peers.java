package org.ftcluster.coordinator;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.apache.pekko.actor.AddressFromURIString;
import org.apache.pekko.actor.typed.ActorSystem;
import org.apache.pekko.cluster.Member;
import org.apache.pekko.cluster.MemberStatus;
import org.apache.pekko.cluster.typed.Cluster;
import org.apache.pekko.cluster.typed.Down;
import org.ftcluster.coordinator.journal.Roster;
import org.ftcluster.protocol.cluster.ClusterSystem;
import org.ftcluster.protocol.cluster.NodeStartException;
import org.ftcluster.protocol.cluster.Probe;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Keeps this coordinator among those of its journal. They find each other in the database, which
 * also says who is gone: one that doesn't sign any more, or whose port is closed, is put out of the
 * cluster, long before its heartbeats would be missed there, so that another soon acts. Should it
 * be alive after all, it finds a newer epoch than its own, and ends.
 */
final class Peers implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(Peers.class);
  private static final Duration SIGN = Duration.ofSeconds(1);
  private static final Duration JOIN = Duration.ofSeconds(30);
  private static final long POLL_MS = 100;

  private final Roster roster;
  private final ActorSystem<?> system;
  private final long id;
  private final ScheduledExecutorService signing =
      Executors.newSingleThreadScheduledExecutor(
          Thread.ofPlatform().daemon().name("coordinators").factory());
  private long signedSinceNs = System.nanoTime();

  private Peers(Roster roster, ActorSystem<?> system, long id) {
    this.roster = roster;
    this.system = system;
    this.id = id;
  }

  /**
   * Signs in, and joins the cluster of the coordinators that are there; begins one where none is.
   *
   * @param grpc where clients reach this one
   * @throws NodeStartException when those that are there can't be joined
   */
  static Peers join(Roster roster, ActorSystem<?> system, String grpc) {
    Peers peers = new Peers(roster, system, roster.signIn(grpc, ClusterSystem.address(system)));
    peers.signing.scheduleWithFixedDelay(
        peers::sign, SIGN.toMillis(), SIGN.toMillis(), TimeUnit.MILLISECONDS);
    try {
      peers.join();
      return peers;
    } catch (RuntimeException e) {
      peers.close();
      throw e;
    }
  }

  /** Other coordinators that are there; those before the first that acts wait for their turn. */
  List<Roster.Entry> others() {
    return roster.others(id).stream().filter(Roster.Entry::seen).toList();
  }

  private void join() {
    long deadline = System.nanoTime() + JOIN.toNanos();
    List<String> seeds = seeds(deadline);
    ClusterSystem.join(system, seeds);
    while (!seeds.isEmpty() && Cluster.get(system).selfMember().status() != MemberStatus.up()) {
      if (System.nanoTime() > deadline) {
        throw unreachable(seeds);
      }
      sleep(POLL_MS);
    }
  }

  /** Only those that signed in before: of two that start together, one begins. */
  private List<String> seeds(long deadline) {
    while (true) {
      List<String> reached = new ArrayList<>();
      List<String> silent = new ArrayList<>();
      for (Roster.Entry other : others()) {
        if (other.id() < id && !other.node().equals(ClusterSystem.address(system))) {
          switch (Probe.of(AddressFromURIString.parse(other.node()))) {
            case REACHED -> reached.add(other.node());
            case REFUSED -> {}
            case SILENT -> silent.add(other.node());
          }
        }
      }
      if (!reached.isEmpty() || silent.isEmpty()) {
        return reached;
      }
      if (System.nanoTime() > deadline) {
        throw unreachable(silent);
      }
      sleep(SIGN.toMillis());
    }
  }

  private static NodeStartException unreachable(List<String> nodes) {
    return new NodeStartException(
        "Coordinators that use the same database can't be joined from here: %s."
            .formatted(String.join(", ", nodes)));
  }

  private void sign() {
    try {
      roster.sign(id);
      // Whoever couldn't reach the database itself can't say who else didn't.
      if (System.nanoTime() - signedSinceNs
          > Duration.ofSeconds(2 * Roster.SILENCE_SECONDS).toNanos()) {
        downSilent();
      }
    } catch (RuntimeException e) {
      signedSinceNs = System.nanoTime();
      LOG.warn("{}", e.getMessage());
    }
  }

  private void downSilent() {
    List<Roster.Entry> all = roster.others(id);
    Set<String> there =
        all.stream().filter(Roster.Entry::seen).map(Roster.Entry::node).collect(Collectors.toSet());
    Set<String> gone =
        all.stream()
            .map(Roster.Entry::node)
            .filter(node -> !node.equals(ClusterSystem.address(system)))
            .filter(node -> !there.contains(node) || hasEnded(node))
            .collect(Collectors.toSet());
    Cluster cluster = Cluster.get(system);
    for (Member member : cluster.state().getMembers()) {
      if (gone.contains(member.address().toString()) && member.status() != MemberStatus.down()) {
        LOG.warn("the coordinator {} is gone", ClusterSystem.node(member.address()));
        cluster.manager().tell(new Down(member.address()));
      }
    }
  }

  /** Its machine says at once that nobody listens there any more. */
  private static boolean hasEnded(String node) {
    return Probe.of(AddressFromURIString.parse(node)) == Probe.REFUSED;
  }

  private static void sleep(long ms) {
    try {
      Thread.sleep(ms);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new NodeStartException("interrupted while joining other coordinators", e);
    }
  }

  /** Signs out. */
  @Override
  public void close() {
    signing.shutdownNow();
    try {
      roster.signOut(id);
    } catch (RuntimeException e) {
      LOG.debug("not signed out: {}", e.getMessage());
    }
  }
}
