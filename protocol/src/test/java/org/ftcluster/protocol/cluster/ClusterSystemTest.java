package org.ftcluster.protocol.cluster;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.typesafe.config.Config;
import com.typesafe.config.ConfigFactory;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.pekko.Done;
import org.apache.pekko.actor.CoordinatedShutdown;
import org.apache.pekko.actor.typed.ActorSystem;
import org.apache.pekko.actor.typed.javadsl.Behaviors;
import org.apache.pekko.cluster.Member;
import org.apache.pekko.cluster.MemberStatus;
import org.apache.pekko.cluster.typed.Cluster;
import org.ftcluster.protocol.security.Credentials;
import org.ftcluster.protocol.security.NewCredentials;
import org.ftcluster.protocol.security.Protection;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ClusterSystemTest {
  private static final Protection LOOPBACK = new Protection.LoopbackOnly();
  private static final long STRANGERS_MS = 2_000;

  @Test
  void aSecondNodeJoinsTheFirst() throws Exception {
    ActorSystem<Void> first = start(loopback(0, ClusterSystem.COORDINATOR, List.of()));
    try {
      ActorSystem<Void> second =
          start(loopback(0, ClusterSystem.WORKER, List.of(ClusterSystem.address(first))));
      try {
        awaitUp(first, 2);
        awaitUp(second, 2);
        assertTrue(Cluster.get(second).selfMember().hasRole(ClusterSystem.WORKER));
        assertTrue(ClusterSystem.address(second).startsWith("pekko://ftcluster@127.0.0.1:"));
      } finally {
        stop(second);
      }
    } finally {
      stop(first);
    }
  }

  @Test
  void membersJoinEncryptedAndStrangersDont(@TempDir Path folder) throws Exception {
    Protection ours = newKeys(folder.resolve("ours"));
    ActorSystem<Void> first = start(settings(ours, ClusterSystem.COORDINATOR, List.of()));
    List<String> seeds = List.of(ClusterSystem.address(first));
    ActorSystem<Void> theirs =
        start(settings(newKeys(folder.resolve("theirs")), ClusterSystem.WORKER, seeds));
    ActorSystem<Void> plain = start(settings(LOOPBACK, ClusterSystem.WORKER, seeds));
    try {
      // Both have tried for as long as a member takes, and longer.
      ActorSystem<Void> second = start(settings(ours, ClusterSystem.WORKER, seeds));
      try {
        awaitUp(first, 2);
        awaitUp(second, 2);
        Thread.sleep(STRANGERS_MS);
        assertEquals(2, up(first));
        assertEquals(0, up(theirs));
        assertEquals(0, up(plain));
      } finally {
        stop(second);
      }
    } finally {
      stop(plain);
      stop(theirs);
      stop(first);
    }
  }

  @Test
  void aNodeThatDoesNotComeToItsEndIsNotWaitedFor() throws Exception {
    ActorSystem<Void> system = start(loopback(0, ClusterSystem.WORKER, List.of()));
    CompletableFuture<Boolean> waited = ClusterSystem.ended(system, Duration.ofSeconds(15));
    CompletableFuture<Boolean> impatient = ClusterSystem.ended(system, Duration.ofMillis(100));
    CompletableFuture<Done> stuck = new CompletableFuture<>();
    CoordinatedShutdown.get(system)
        .addTask(CoordinatedShutdown.PhaseServiceStop(), "stuck", () -> stuck);

    assertFalse(waited.isDone());
    system.terminate();

    assertFalse(impatient.get(20, TimeUnit.SECONDS));
    stuck.complete(Done.done());
    assertTrue(waited.get(20, TimeUnit.SECONDS));
  }

  private static Protection newKeys(Path folder) {
    NewCredentials.create(folder);
    return new Protection.Tls(Credentials.read(folder));
  }

  @Test
  void nothingIsDeserializedByJavaAndEveryDispatcherKeepsThreadsRunnable() throws Exception {
    ActorSystem<Void> system = start(loopback(0, ClusterSystem.COORDINATOR, List.of()));
    try {
      Config config = system.settings().config();
      assertFalse(config.getBoolean("pekko.actor.allow-java-serialization"));
      assertEquals(
          -1, config.getInt("pekko.actor.default-dispatcher.fork-join-executor.minimum-runnable"));
    } finally {
      stop(system);
    }
  }

  @Test
  void aTakenPortIsNamed() throws Exception {
    try (ServerSocket taken = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      int port = taken.getLocalPort();
      NodeStartException e =
          assertThrows(
              NodeStartException.class,
              () -> start(loopback(port, ClusterSystem.WORKER, List.of())));
      assertTrue(e.getMessage().contains("Port " + port + " on 127.0.0.1"), e.getMessage());
    }
  }

  @Test
  void anAddressOthersCanReachNeedsInsecure() {
    NodeStartException e =
        assertThrows(NodeStartException.class, () -> BindAddress.resolve("0.0.0.0", LOOPBACK));
    assertTrue(e.getMessage().contains("--insecure"), e.getMessage());
    assertTrue(BindAddress.resolve("0.0.0.0", new Protection.Insecure()).isAnyLocalAddress());
    assertTrue(BindAddress.resolve("localhost", LOOPBACK).isLoopbackAddress());
  }

  @Test
  void aHostThatIsUnknownAndASeedThatIsNoAddressAreNamed() {
    NodeStartException host =
        assertThrows(
            NodeStartException.class, () -> BindAddress.resolve("no-such-host.invalid", LOOPBACK));
    assertTrue(host.getMessage().contains("no-such-host.invalid"), host.getMessage());
    NodeStartException seed =
        assertThrows(
            NodeStartException.class,
            () -> start(loopback(0, ClusterSystem.WORKER, List.of("localhost:2551"))));
    assertTrue(seed.getMessage().contains("'localhost:2551'"), seed.getMessage());
  }

  private static NodeSettings loopback(int port, String role, List<String> seeds) {
    return new NodeSettings(NodeHost.loopback(), port, role, seeds);
  }

  private static NodeSettings settings(Protection protection, String role, List<String> seeds) {
    return new NodeSettings(new NodeHost("127.0.0.1", "", protection), 0, role, seeds);
  }

  private static ActorSystem<Void> start(NodeSettings settings) {
    return ClusterSystem.start(Behaviors.empty(), settings, ConfigFactory.empty());
  }

  private static void stop(ActorSystem<Void> system) throws Exception {
    system.terminate();
    system.getWhenTerminated().toCompletableFuture().get(20, TimeUnit.SECONDS);
  }

  private static void awaitUp(ActorSystem<?> system, int nodes) throws Exception {
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(20);
    while (up(system) < nodes) {
      if (System.nanoTime() > deadline) {
        throw new TimeoutException("%d of %d nodes are up".formatted(up(system), nodes));
      }
      Thread.sleep(20);
    }
  }

  private static long up(ActorSystem<?> system) {
    long count = 0;
    for (Member member : Cluster.get(system).state().getMembers()) {
      count += member.status() == MemberStatus.up() ? 1 : 0;
    }
    return count;
  }
}
