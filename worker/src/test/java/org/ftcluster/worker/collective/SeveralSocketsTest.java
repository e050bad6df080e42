package org.ftcluster.worker.collective;

import static org.ftcluster.worker.collective.Ranks.LIMIT;
import static org.ftcluster.worker.collective.Ranks.SECRET;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.ftcluster.worker.collective.Communicator.ElementType;
import org.ftcluster.worker.collective.Communicator.ReduceOp;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Bytes that are dealt to several sockets arrive as over one. */
class SeveralSocketsTest {
  /** Of a few pieces and a bit, over any number of sockets. */
  @ParameterizedTest
  @CsvSource({"2, 1", "3, 1", "3, 2", "4, 3"})
  void partsOfLongBuffersAreSummedFromTheirRankOnAroundTheRing(int size, int sockets)
      throws Exception {
    int count = 3_000_001 - size;
    float[] expected = new float[count];
    for (int part = 0; part < size; part++) {
      for (int step = 0; step < size; step++) {
        int rank = (part + step) % size;
        for (int i = part * count / size; i < (part + 1) * count / size; i++) {
          expected[i] += uneven(i, rank);
        }
      }
    }
    List<Long> differences =
        Ranks.run(
            size,
            sockets,
            ranks -> {
              MemorySegment buffer = Arena.ofAuto().allocate(4L * count, 64);
              for (int i = 0; i < count; i++) {
                buffer.setAtIndex(ValueLayout.JAVA_FLOAT, i, uneven(i, ranks.rank()));
              }
              ranks.allReduce(buffer, ElementType.FLOAT32, ReduceOp.SUM).await(LIMIT);
              return buffer.mismatch(MemorySegment.ofArray(expected));
            });
    assertEquals(Collections.nCopies(size, -1L), differences);
  }

  /** Sums of these depend on their order. */
  private static float uneven(int i, int rank) {
    return (i % 1009 + 1) / (3f + rank) * (i % 2 == rank % 2 ? 1 : -1);
  }

  @ParameterizedTest
  @CsvSource({"2, 2", "3, 2", "3, 5"})
  void severalSocketsKeepTheOrderOfAllOperations(int size, int sockets) throws Exception {
    int part = 500_003;
    Ranks.run(
        size,
        sockets,
        ranks -> {
          int next = (ranks.rank() + 1) % size;
          int previous = (ranks.rank() + size - 1) % size;
          MemorySegment outgoing = longs(part, i -> i + ranks.rank());
          MemorySegment incoming = longs(part, i -> 0);
          MemorySegment word = longs(1, i -> ranks.rank());
          MemorySegment gathered = longs(part * size, i -> -1);
          MemorySegment sum = longs(part, i -> -1);
          MemorySegment sent = longs(part, i -> ranks.rank() == 0 ? i : -1);
          ranks.send(outgoing, next);
          ranks.send(word, next);
          Work first = ranks.recv(incoming, previous);
          Work second = ranks.recv(longs(1, i -> 0), previous);
          ranks.allGather(outgoing, gathered);
          ranks.barrier();
          ranks.reduceScatter(gathered, sum, ElementType.INT64, ReduceOp.SUM);
          ranks.broadcast(sent, 0).await(LIMIT);
          first.await(LIMIT);
          second.await(LIMIT);
          assertEquals(-1, incoming.mismatch(longs(part, i -> i + previous)));
          assertEquals(-1, gathered.mismatch(longs(part * size, i -> i % part + i / part)));
          assertEquals(-1, sum.mismatch(longs(part, i -> size * (i + ranks.rank()))));
          assertEquals(-1, sent.mismatch(longs(part, i -> i)));
          return null;
        });
  }

  @Test
  void aLostSocketOfSeveralEndsTheGenerationForAll() throws Exception {
    CountDownLatch started = new CountDownLatch(3);
    List<CollectiveListener> listeners = Ranks.listeners(3);
    List<InetSocketAddress> peers = listeners.stream().map(CollectiveListener::address).toList();
    List<Callable<String>> bodies = new ArrayList<>();
    for (int r = 0; r < 3; r++) {
      int rank = r;
      bodies.add(
          () -> {
            Membership self = new Membership(rank, 3, 1, 4, SECRET);
            List<List<Link>> links = listeners.get(rank).meet(self, peers, LIMIT);
            try (Communicator ranks = TcpCommunicator.over(links, rank, 3, 1)) {
              ranks.barrier().await(LIMIT);
              started.countDown();
              if (rank == 2) {
                assertTrue(started.await(LIMIT.toSeconds(), TimeUnit.SECONDS));
                Sockets.close(links.getFirst().getFirst().lanes().getFirst());
              }
              MemorySegment buffer = Arena.ofAuto().allocate(64 << 20, 64);
              Work work = ranks.allReduce(buffer, ElementType.INT64, ReduceOp.SUM);
              return String.valueOf(
                  assertThrows(CollectiveException.class, () -> work.await(LIMIT)).getMessage());
            }
          });
    }
    for (String message : Ranks.together(bodies).subList(0, 2)) {
      assertTrue(message.contains("rank 2"), message);
    }
  }

  private interface Formula {
    long at(long index);
  }

  private static MemorySegment longs(int count, Formula formula) {
    MemorySegment segment = Arena.ofAuto().allocate(8L * count, 64);
    for (int i = 0; i < count; i++) {
      segment.setAtIndex(ValueLayout.JAVA_LONG, i, formula.at(i));
    }
    return segment;
  }
}
