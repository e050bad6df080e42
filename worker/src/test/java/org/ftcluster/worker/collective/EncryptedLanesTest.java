package org.ftcluster.worker.collective;

import static org.ftcluster.worker.collective.Ranks.LIMIT;
import static org.ftcluster.worker.collective.Ranks.SECRET;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.ftcluster.protocol.security.Credentials;
import org.ftcluster.protocol.security.NewCredentials;
import org.ftcluster.protocol.security.Protection;
import org.ftcluster.worker.collective.Communicator.ElementType;
import org.ftcluster.worker.collective.Communicator.ReduceOp;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Collectives whose connections are encrypted do what others do, and end as they do. */
class EncryptedLanesTest {
  private static final Protection PLAIN = new Protection.LoopbackOnly();

  @TempDir static Path folder;
  private static Protection ours;
  private static Protection theirs;

  @BeforeAll
  static void makeKeys() {
    ours = keys("ours");
    theirs = keys("theirs");
  }

  private static Protection keys(String name) {
    NewCredentials.create(folder.resolve(name));
    return new Protection.Tls(Credentials.read(folder.resolve(name)));
  }

  @ParameterizedTest
  @CsvSource({"2, 1", "3, 1", "3, 2", "4, 3"})
  void sumsHaveTheSameBits(int size, int sockets) throws Exception {
    int count = 3_000_001 - size;
    Ranks.Body<float[]> sum =
        ranks -> {
          MemorySegment buffer = uneven(count, ranks.rank());
          ranks.allReduce(buffer, ElementType.FLOAT32, ReduceOp.SUM).await(LIMIT);
          return buffer.toArray(ValueLayout.JAVA_FLOAT);
        };
    float[] expected = Ranks.run(size, sockets, sum).getFirst();
    for (float[] result : Ranks.run(listeners(Collections.nCopies(size, ours)), sockets, sum)) {
      assertArrayEquals(expected, result, 0f);
    }
  }

  /** Sums of these depend on their order. */
  private static MemorySegment uneven(int count, int rank) {
    MemorySegment buffer = Arena.ofAuto().allocate(4L * count, 64);
    for (int i = 0; i < count; i++) {
      buffer.setAtIndex(
          ValueLayout.JAVA_FLOAT, i, (i % 1009 + 1) / (3f + rank) * (i % 2 == rank % 2 ? 1 : -1));
    }
    return buffer;
  }

  /** Records end where they like, and arenas may forbid to ask where their memory lies. */
  @Test
  void messagesOfAllSizesArriveFromAndInMemoryOfAllKinds() throws Exception {
    int[] sizes = {1, 7, 16_383, 16_384, 16_385, 300_001, 0, 5_000_000};
    Ranks.run(
        listeners(List.of(ours, ours)),
        2,
        ranks -> {
          int peer = 1 - ranks.rank();
          try (Arena shared = Arena.ofShared()) {
            List<Work> works = new ArrayList<>();
            List<MemorySegment> received = new ArrayList<>();
            for (int size : sizes) {
              works.add(ranks.send(bytes(shared, size, ranks.rank()), peer));
              received.add(shared.allocate(size, 1));
              works.add(ranks.recv(received.getLast(), peer));
            }
            works.forEach(work -> work.await(LIMIT));
            for (int i = 0; i < sizes.length; i++) {
              assertEquals(-1, received.get(i).mismatch(bytes(shared, sizes[i], peer)));
            }
          }
          return null;
        });
  }

  /** A job of large layers may wait for more than fits into an int. */
  @Test
  void aReadTakesWhatThereIsHoweverMuchIsWaitedFor() throws Exception {
    ByteBuffer gigabyte = sparse(1 << 30);
    ByteBuffer[] room = {gigabyte.duplicate(), gigabyte.duplicate(), gigabyte.duplicate()};
    try (ServerSocketChannel server = ServerSocketChannel.open()) {
      server.bind(new InetSocketAddress("127.0.0.1", 0));
      Lane caller = Lane.ofCaller(SocketChannel.open(server.getLocalAddress()), ours);
      Lane called = Lane.ofCalled(server.accept(), ours);
      try (caller;
          called) {
        byte[] sent = "as much as that".getBytes(StandardCharsets.UTF_8);
        List<Long> moved =
            Ranks.together(
                List.of(() -> caller.write(ByteBuffer.wrap(sent)), () -> readOnce(called, room)));
        assertEquals(List.of((long) sent.length, (long) sent.length), moved);
        byte[] received = new byte[sent.length];
        gigabyte.get(0, received);
        assertArrayEquals(sent, received);
        assertEquals(sent.length, room[0].position());
        assertEquals(0, room[1].position());
      }
    }
  }

  /** As an engine does. */
  private static long readOnce(Lane lane, ByteBuffer[] room) throws Exception {
    long read = 0;
    lane.socket().configureBlocking(false);
    for (int i = 0; i < 1000 && read == 0; i++) {
      read = lane.read(room);
      Thread.sleep(5);
    }
    return read;
  }

  private static ByteBuffer sparse(int bytes) throws Exception {
    try (FileChannel file =
        FileChannel.open(
            folder.resolve("sparse"),
            StandardOpenOption.CREATE,
            StandardOpenOption.READ,
            StandardOpenOption.WRITE)) {
      return file.map(FileChannel.MapMode.READ_WRITE, 0, bytes);
    }
  }

  private static MemorySegment bytes(Arena arena, int size, int rank) {
    MemorySegment bytes = arena.allocate(size, 1);
    for (int i = 0; i < size; i++) {
      bytes.set(ValueLayout.JAVA_BYTE, i, (byte) (i * 31 + rank + size));
    }
    return bytes;
  }

  @Test
  void anAbortIsToldToAll() throws Exception {
    CountDownLatch started = new CountDownLatch(2);
    List<String> messages =
        Ranks.run(
            listeners(List.of(ours, ours, ours)),
            1,
            ranks -> {
              if (ranks.rank() == 2) {
                assertTrue(started.await(LIMIT.toSeconds(), TimeUnit.SECONDS));
                ranks.abort("stopped");
                return failure(ranks.barrier());
              }
              MemorySegment buffer = Arena.ofAuto().allocate(64 << 20, 64);
              Work work = ranks.allReduce(buffer, ElementType.INT64, ReduceOp.SUM);
              started.countDown();
              return failure(work);
            });
    for (String message : messages) {
      assertTrue(message.contains("stopped"), message);
    }
  }

  @Test
  void aPeerThatVanishesIsLost() throws Exception {
    CountDownLatch started = new CountDownLatch(2);
    List<CollectiveListener> listeners = listeners(List.of(ours, ours));
    List<InetSocketAddress> peers = listeners.stream().map(CollectiveListener::address).toList();
    List<Callable<String>> bodies = new ArrayList<>();
    for (int r = 0; r < 2; r++) {
      int rank = r;
      bodies.add(
          () -> {
            Membership self = new Membership(rank, 2, 1, 1, SECRET);
            List<List<Link>> links = listeners.get(rank).meet(self, peers, LIMIT);
            try (Communicator ranks = TcpCommunicator.over(links, rank, 2, 1)) {
              ranks.barrier().await(LIMIT);
              started.countDown();
              if (rank == 1) {
                assertTrue(started.await(LIMIT.toSeconds(), TimeUnit.SECONDS));
                // As the kernel does for a process that was killed: no farewell of TLS's, either.
                for (List<Link> all : links) {
                  all.forEach(link -> link.lanes().forEach(lane -> Sockets.close(lane.socket())));
                }
              }
              MemorySegment buffer = Arena.ofAuto().allocate(64 << 20, 64);
              return failure(ranks.allReduce(buffer, ElementType.INT64, ReduceOp.SUM));
            }
          });
    }
    String message = Ranks.together(bodies).getFirst();
    assertTrue(message.contains("rank 1"), message);
  }

  @Test
  void whoHasOtherKeysOrNoneDoesNotConnect() {
    for (Protection stranger : List.of(theirs, PLAIN)) {
      for (List<Protection> both : List.of(List.of(ours, stranger), List.of(stranger, ours))) {
        List<CollectiveListener> listeners = listeners(both);
        List<InetSocketAddress> peers =
            listeners.stream().map(CollectiveListener::address).toList();
        List<Callable<Communicator>> bodies = new ArrayList<>();
        for (int r = 0; r < 2; r++) {
          int rank = r;
          bodies.add(
              () -> listeners.get(rank).connect(rank, peers, 1, SECRET, 1, Duration.ofSeconds(1)));
        }
        assertThrows(CollectiveException.class, () -> Ranks.together(bodies));
      }
    }
  }

  /** What other ways to other machines must live up to. */
  @Test
  void whatStaysOnThisMachineNeedsNoEncryption() throws Exception {
    for (boolean encrypts :
        Ranks.run(listeners(List.of(ours, ours)), 1, Communicator::encryptsBetweenMachines)) {
      assertFalse(encrypts);
    }
    CollectiveListener here = TcpCommunicator.listen(address("127.0.0.2", ours));
    CollectiveListener there = TcpCommunicator.listen(address("127.0.0.1", ours));
    for (boolean encrypts :
        Ranks.run(List.of(here, there), 1, Communicator::encryptsBetweenMachines)) {
      assertTrue(encrypts);
    }
  }

  private static String failure(Work work) {
    return String.valueOf(
        assertThrows(CollectiveException.class, () -> work.await(LIMIT)).getMessage());
  }

  private static List<CollectiveListener> listeners(List<Protection> protections) {
    return protections.stream()
        .map(protection -> TcpCommunicator.listen(address("127.0.0.1", protection)))
        .toList();
  }

  private static ListenAddress address(String host, Protection protection) {
    return new ListenAddress(host, 0, host, protection);
  }
}
