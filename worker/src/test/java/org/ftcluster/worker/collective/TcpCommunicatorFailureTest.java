package org.ftcluster.worker.collective;

import static org.ftcluster.worker.collective.Ranks.LIMIT;
import static org.ftcluster.worker.collective.Ranks.SECRET;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.OutputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.ftcluster.worker.collective.Communicator.ElementType;
import org.ftcluster.worker.collective.Communicator.ReduceOp;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Nothing hangs: every way of losing a generation ends on every rank with an exception. */
class TcpCommunicatorFailureTest {
  private static final Duration SHORT = Duration.ofMillis(300);

  @AfterEach
  void noThreadIsLeft() throws InterruptedException {
    for (Thread thread : Thread.getAllStackTraces().keySet()) {
      if (thread.getName().startsWith("collective-")) {
        assertTrue(thread.join(LIMIT), thread.getName() + " still runs");
      }
    }
  }

  @Test
  void anAbortOnOneRankEndsOperationsOnAll() throws Exception {
    List<String> messages =
        Ranks.run(
            4,
            ranks -> {
              if (ranks.rank() == 2) {
                ranks.abort("enough");
              }
              String message = failure(ranks.barrier());
              assertEquals(message.contains("enough"), failure(ranks.barrier()).contains("enough"));
              return message;
            });
    for (String message : messages) {
      assertTrue(message.contains("enough"), message);
    }
  }

  @Test
  void anAbortEndsAnAllReduceInItsMiddle() throws Exception {
    CountDownLatch started = new CountDownLatch(2);
    List<String> messages =
        Ranks.run(
            3,
            ranks -> {
              if (ranks.rank() == 2) {
                // Never joins in, so that the others are stuck in the middle of theirs.
                assertTrue(started.await(LIMIT.toSeconds(), TimeUnit.SECONDS));
                ranks.abort("stopped");
                return failure(ranks.barrier());
              }
              Work work = ranks.allReduce(buffer(64 << 20), ElementType.INT64, ReduceOp.SUM);
              started.countDown();
              return failure(work);
            });
    for (String message : messages) {
      assertTrue(message.contains("stopped"), message);
    }
  }

  @Test
  void aLostPeerEndsOperationsOnAllSurvivors() throws Exception {
    CountDownLatch started = new CountDownLatch(2);
    List<CollectiveListener> listeners = Ranks.listeners(3);
    List<InetSocketAddress> peers = listeners.stream().map(CollectiveListener::address).toList();
    List<Callable<String>> bodies = new ArrayList<>();
    for (int r = 0; r < 2; r++) {
      int rank = r;
      bodies.add(
          () -> {
            try (Communicator ranks =
                listeners.get(rank).connect(rank, peers, 1, SECRET, 1, LIMIT)) {
              Work work = ranks.allReduce(buffer(64 << 20), ElementType.INT64, ReduceOp.SUM);
              started.countDown();
              return failure(work);
            }
          });
    }
    bodies.add(
        () -> {
          Membership self = new Membership(2, 3, 1, 1, SECRET);
          try (CollectiveListener listener = listeners.get(2)) {
            List<List<Link>> links = listener.meet(self, peers, LIMIT);
            assertTrue(started.await(LIMIT.toSeconds(), TimeUnit.SECONDS));
            // As the kernel does for a process that was killed: closed, without a word.
            links.stream()
                .flatMap(List::stream)
                .forEach(link -> link.lanes().forEach(Sockets::close));
          }
          return "lost rank 2";
        });
    for (String message : Ranks.together(bodies)) {
      assertTrue(message.contains("lost rank 2"), message);
    }
  }

  @Test
  void whoWaitsTooLongEndsItForAll() throws Exception {
    List<String> messages =
        Ranks.run(
            3,
            ranks ->
                switch (ranks.rank()) {
                  // Never comes to the barrier, but is told what became of it.
                  case 0 -> failure(ranks.recv(buffer(8), 1));
                  case 1 -> failure(ranks.barrier());
                  default ->
                      String.valueOf(
                          assertThrows(
                                  CollectiveException.class, () -> ranks.barrier().await(SHORT))
                              .getMessage());
                });
    for (String message : messages) {
      assertTrue(
          message.contains("barrier #1, 0 bytes is not done after PT0.3S on rank 2"), message);
    }
  }

  @Test
  void ranksThatCallDifferentOperationsAreTold() throws Exception {
    List<String> messages =
        Ranks.run(
            2,
            ranks ->
                failure(
                    ranks.allReduce(
                        buffer(ranks.rank() == 0 ? 80 : 160), ElementType.INT64, ReduceOp.SUM)));
    for (String message : messages) {
      assertTrue(message.contains("ranks disagree"), message);
      assertTrue(message.contains("80 bytes") && message.contains("160 bytes"), message);
    }
  }

  @Test
  void whoLeavesAfterTheLastOperationDisturbsNobody() throws Exception {
    for (int round = 0; round < 20; round++) {
      Ranks.run(
          3,
          ranks -> {
            ranks.broadcast(buffer(1 << 20), 0).await(LIMIT);
            return null;
          });
    }
  }

  @Test
  void anOperationWithAPeerThatHasLeftFails() throws Exception {
    Ranks.run(
        2,
        ranks -> {
          ranks.barrier().await(LIMIT);
          if (ranks.rank() == 1) {
            String message = failure(ranks.recv(buffer(8), 0));
            assertTrue(message.contains("lost rank 0"), message);
          }
          return null;
        });
  }

  @Test
  void closingWithOperationsUnderWayEndsThemOnAllRanks() throws Exception {
    Ranks.run(
        2,
        ranks -> {
          Work work = ranks.recv(buffer(8), 1 - ranks.rank());
          if (ranks.rank() == 0) {
            ranks.close();
          }
          assertTrue(failure(work).contains("closed its communicator"));
          return null;
        });
  }

  @Test
  void anInterruptedWaitEndsTheGeneration() throws Exception {
    Ranks.run(
        2,
        ranks -> {
          Work work = ranks.recv(buffer(8), 1 - ranks.rank());
          if (ranks.rank() == 0) {
            Thread.currentThread().interrupt();
          }
          assertTrue(failure(work).contains("interrupted"));
          assertEquals(ranks.rank() == 0, Thread.interrupted());
          return null;
        });
  }

  @Test
  void aRankWithoutTheSecretIsRefusedAndTheOthersGoOnWaiting() throws Exception {
    assertRefused(
        new Membership(1, 2, 1, 1, bytes("guess")), "its secret is not this generation's");
  }

  @Test
  void aRankOfAnotherGenerationOrWorldIsRefused() throws Exception {
    assertRefused(new Membership(1, 2, 7, 1, SECRET), "this is generation 1, not 7");
    assertRefused(new Membership(1, 5, 1, 1, SECRET), "there are 2 ranks, not 5");
    assertRefused(new Membership(1, 2, 1, 3, SECRET), "sockets between two ranks are 1, not 3");
    assertRefused(new Membership(2, 2, 1, 1, SECRET), "rank 2 has no business to call rank 0 of 2");
  }

  /** Rank 0 of 2 refuses {@code intruder}, and then takes the real rank 1. */
  private static void assertRefused(Membership intruder, String reason) throws Exception {
    List<CollectiveListener> listeners = Ranks.listeners(2);
    List<InetSocketAddress> peers = listeners.stream().map(CollectiveListener::address).toList();
    CountDownLatch refused = new CountDownLatch(1);
    Ranks.<@Nullable Void>together(
        List.of(
            () -> {
              try (Communicator ranks = listeners.get(0).connect(0, peers, 1, SECRET, 1, LIMIT)) {
                ranks.barrier().await(LIMIT);
              }
              return null;
            },
            () -> {
              try (CollectiveListener own = TcpCommunicator.listen("127.0.0.1")) {
                CollectiveException e =
                    assertThrows(
                        CollectiveException.class,
                        () -> own.meet(intruder, List.of(peers.getFirst(), own.address()), LIMIT));
                assertTrue(e.getMessage().contains(reason), e.getMessage());
              }
              refused.countDown();
              return null;
            },
            () -> {
              assertTrue(refused.await(LIMIT.toSeconds(), TimeUnit.SECONDS));
              try (Communicator ranks = listeners.get(1).connect(1, peers, 1, SECRET, 1, LIMIT)) {
                ranks.barrier().await(LIMIT);
              }
              return null;
            }));
  }

  @Test
  void strangersOnThePortDisturbNobody() throws Exception {
    List<CollectiveListener> listeners = Ranks.listeners(2);
    List<InetSocketAddress> peers = listeners.stream().map(CollectiveListener::address).toList();
    try (Socket silent = new Socket(peers.get(0).getAddress(), peers.get(0).getPort());
        Socket talkative = new Socket(peers.get(0).getAddress(), peers.get(0).getPort())) {
      OutputStream out = talkative.getOutputStream();
      out.write(bytes("GET / HTTP/1.1\r\nHost: example.org\r\n\r\n".repeat(3)));
      Ranks.<@Nullable Void>together(
          List.of(
              () -> meetAtBarrier(listeners.get(0), 0, peers),
              () -> meetAtBarrier(listeners.get(1), 1, peers)));
      assertTrue(silent.isConnected());
    }
  }

  private static @Nullable Void meetAtBarrier(
      CollectiveListener listener, int rank, List<InetSocketAddress> peers) {
    try (Communicator ranks = listener.connect(rank, peers, 1, SECRET, 1, LIMIT)) {
      ranks.barrier().await(LIMIT);
    }
    return null;
  }

  @Test
  void aRankThatNeverComesEndsTheWaitWithItsName() {
    List<CollectiveListener> listeners = Ranks.listeners(3);
    List<InetSocketAddress> peers = listeners.stream().map(CollectiveListener::address).toList();
    CollectiveException e =
        assertThrows(
            CollectiveException.class,
            () -> listeners.get(0).connect(0, peers, 1, SECRET, 1, SHORT));
    assertEquals("rank 0 waited PT0.3S for ranks [1, 2] of generation 1 in vain", e.getMessage());
    listeners.forEach(CollectiveListener::close);
  }

  @Test
  void aRankWhoseListenerIsGoneCannotBeReached() {
    List<CollectiveListener> listeners = Ranks.listeners(2);
    List<InetSocketAddress> peers = listeners.stream().map(CollectiveListener::address).toList();
    listeners.get(0).close();
    CollectiveException e =
        assertThrows(
            CollectiveException.class,
            () -> listeners.get(1).connect(1, peers, 1, SECRET, 1, LIMIT));
    assertTrue(e.getMessage().contains("can't reach rank 0"), e.getMessage());
  }

  @Test
  void closingTheListenerEndsAConnectUnderWay() throws Exception {
    List<CollectiveListener> listeners = Ranks.listeners(2);
    List<InetSocketAddress> peers = listeners.stream().map(CollectiveListener::address).toList();
    Thread closer = Thread.ofPlatform().daemon().start(() -> listeners.get(0).close());
    CollectiveException e =
        assertThrows(
            CollectiveException.class,
            () -> listeners.get(0).connect(0, peers, 1, SECRET, 1, LIMIT));
    assertTrue(e.getMessage().contains("no longer listens"), e.getMessage());
    closer.join();
    listeners.get(1).close();
  }

  @Test
  void anAddressThatIsNotThisMachinesIsNamed() {
    CollectiveException e =
        assertThrows(CollectiveException.class, () -> TcpCommunicator.listen("192.0.2.1"));
    assertTrue(e.getMessage().contains("192.0.2.1"), e.getMessage());
  }

  @Test
  void aSingleRankEndsOnAbortLikeAnyOther() throws Exception {
    Ranks.run(
        1,
        alone -> {
          alone.barrier().await(LIMIT);
          alone.abort("over");
          assertTrue(failure(alone.barrier()).contains("over"));
          return null;
        });
  }

  private static String failure(Work work) {
    return String.valueOf(
        assertThrows(CollectiveException.class, () -> work.await(LIMIT)).getMessage());
  }

  private static MemorySegment buffer(long bytes) {
    return Arena.ofAuto().allocate(bytes, 64);
  }

  private static byte[] bytes(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }
}
