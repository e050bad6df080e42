package org.ftcluster.worker.collective.nccl;

import static org.ftcluster.worker.collective.Ranks.LIMIT;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.stream.LongStream;
import org.ftcluster.worker.collective.CollectiveException;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.collective.Communicator.ElementType;
import org.ftcluster.worker.collective.Communicator.ReduceOp;
import org.ftcluster.worker.collective.Ranks;
import org.ftcluster.worker.collective.Work;
import org.ftcluster.worker.tensor.cuda.SimulatedDevice;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What ranks with GPUs say to each other; NCCL is simulated, see {@link SimulatedNccl}. */
class NcclCommunicatorTest {
  private static SimulatedNccl nccl;

  @BeforeAll
  static void open() {
    nccl = SimulatedNccl.open();
  }

  @AfterAll
  static void close() {
    if (nccl != null) {
      nccl.close();
    }
  }

  private interface Body<T> {
    T run(NcclCommunicator gpus) throws Exception;
  }

  private static <T> List<T> run(int size, Body<T> body) throws Exception {
    return Ranks.run(
        size,
        hosts -> {
          try (NcclCommunicator gpus =
              NcclCommunicator.connect(hosts, 0, MemorySegment.NULL, LIMIT)) {
            return body.run(gpus);
          }
        });
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3})
  void collectivesLeaveWhatTheyAreToLeave(int size) throws Exception {
    run(
        size,
        gpus -> {
          int rank = gpus.rank();
          MemorySegment sum = longs(rank + 1L, 10);
          gpus.allReduce(sum, ElementType.INT64, ReduceOp.SUM).await(LIMIT);
          assertLongs(longs(size * (size + 1L) / 2, 10L * size), sum);

          MemorySegment largest = longs(rank, -rank);
          gpus.allReduce(largest, ElementType.INT64, ReduceOp.MAX).await(LIMIT);
          assertLongs(longs(size - 1, 0), largest);

          MemorySegment atRoot = longs(rank, 1);
          gpus.reduce(atRoot, ElementType.INT64, ReduceOp.SUM, size - 1).await(LIMIT);
          if (rank == size - 1) {
            assertLongs(longs(size * (size - 1L) / 2, size), atRoot);
          }

          MemorySegment own = longs(0);
          MemorySegment all = longs(LongStream.range(0, size).toArray());
          gpus.reduceScatter(all, own, ElementType.INT64, ReduceOp.SUM).await(LIMIT);
          assertLongs(longs((long) rank * size), own);

          MemorySegment gathered = longs(new long[size]);
          gpus.allGather(longs(rank * 7L), gathered).await(LIMIT);
          assertLongs(longs(LongStream.range(0, size).map(r -> r * 7).toArray()), gathered);

          MemorySegment told = longs(rank == size - 1 ? 42 : 0);
          gpus.broadcast(told, size - 1).await(LIMIT);
          assertLongs(longs(42), told);
          gpus.barrier().await(LIMIT);
          return null;
        });
  }

  /** As stages of a pipeline do. */
  @ParameterizedTest
  @ValueSource(ints = {2, 3, 4})
  void neighboursMayAllSendBothWaysBeforeTheyReceive(int size) throws Exception {
    run(
        size,
        gpus -> {
          int next = (gpus.rank() + 1) % size;
          int previous = Math.floorMod(gpus.rank() - 1, size);
          for (int round = 0; round < 3; round++) {
            Work forward = gpus.send(longs(gpus.rank(), round), next);
            Work backward = gpus.send(longs(-gpus.rank(), round), previous);
            MemorySegment first = longs(0, 0);
            MemorySegment second = longs(0, 0);
            gpus.recv(first, previous).await(LIMIT);
            gpus.recv(second, next).await(LIMIT);
            forward.await(LIMIT);
            backward.await(LIMIT);
            // Between two ranks messages arrive in the order in which they were sent.
            assertLongs(longs(previous, round), first);
            assertLongs(longs(-next, round), second);
          }
          return null;
        });
  }

  @Test
  void whoIsNoNeighbourIsRefused() throws Exception {
    run(
        4,
        gpus -> {
          int opposite = (gpus.rank() + 2) % 4;
          assertThrows(IllegalArgumentException.class, () -> gpus.send(longs(1), opposite));
          return null;
        });
  }

  @Test
  void groupsAndTheBackgroundDoNotWaitForEachOther() throws Exception {
    run(
        4,
        gpus -> {
          Communicator pair = gpus.group("pair", gpus.rank() < 2 ? List.of(0, 1) : List.of(2, 3));
          Communicator background = gpus.background();
          MemorySegment ofAll = longs(1);
          Work begun = null;
          if (gpus.rank() > 0) {
            begun = background.allReduce(ofAll, ElementType.INT64, ReduceOp.SUM);
          }
          MemorySegment ofPair = longs(gpus.rank());
          pair.allReduce(ofPair, ElementType.INT64, ReduceOp.SUM).await(LIMIT);
          assertLongs(longs(gpus.rank() < 2 ? 1 : 5), ofPair);
          if (begun == null) {
            begun = background.allReduce(ofAll, ElementType.INT64, ReduceOp.SUM);
          }
          begun.await(LIMIT);
          assertLongs(longs(4), ofAll);
          return null;
        });
  }

  @Test
  void anAbortEndsWhatOthersWaitFor() throws Exception {
    CountDownLatch together = new CountDownLatch(2);
    run(
        2,
        gpus -> {
          gpus.allReduce(longs(1), ElementType.INT64, ReduceOp.SUM).await(LIMIT);
          together.countDown();
          if (gpus.rank() == 0) {
            assertTrue(together.await(LIMIT.toSeconds(), TimeUnit.SECONDS));
            gpus.abort("rank 0 has enough");
          } else {
            MemorySegment buffer = longs(1);
            CollectiveException e =
                assertThrows(
                    CollectiveException.class,
                    () -> gpus.allReduce(buffer, ElementType.INT64, ReduceOp.SUM).await(LIMIT));
            assertTrue(e.getMessage().contains("rank 0 has enough"), e.getMessage());
          }
          assertThrows(
              CollectiveException.class,
              () -> gpus.allReduce(longs(1), ElementType.INT64, ReduceOp.SUM));
          return null;
        });
  }

  /** NCCL by itself would wait for ever. */
  @Test
  void whatTheHostsNoticeEndsWhatGpusWaitFor() throws Exception {
    CountDownLatch together = new CountDownLatch(2);
    Ranks.run(
        2,
        hosts -> {
          NcclCommunicator gpus = NcclCommunicator.connect(hosts, 0, MemorySegment.NULL, LIMIT);
          gpus.allReduce(longs(1), ElementType.INT64, ReduceOp.SUM).await(LIMIT);
          together.countDown();
          if (gpus.rank() == 0) {
            assertTrue(together.await(LIMIT.toSeconds(), TimeUnit.SECONDS));
            hosts.abort("rank 0 is lost"); // NCCL isn't told
          } else {
            CollectiveException e =
                assertThrows(
                    CollectiveException.class,
                    () -> gpus.allReduce(longs(1), ElementType.INT64, ReduceOp.SUM).await(LIMIT));
            assertTrue(e.getMessage().contains("rank 0 is lost"), e.getMessage());
          }
          gpus.close();
          return null;
        });
  }

  @ParameterizedTest
  @ValueSource(ints = {3, 100_000})
  void buffersOfHostsGoByWayOfTheGpus(int count) throws Exception {
    run(
        2,
        gpus -> {
          SimulatedDevice device = SimulatedDevice.open();
          Communicator staged = StagedCommunicator.of(gpus, device);
          long other = 1 - gpus.rank();
          long[] own = LongStream.range(0, count).map(i -> i + gpus.rank()).toArray();
          MemorySegment sum = longs(own);
          Work summing = staged.allReduce(sum, ElementType.INT64, ReduceOp.SUM);
          MemorySegment both = longs(new long[2 * count]);
          staged.allGather(longs(own), both).await(LIMIT);
          summing.await(LIMIT);
          for (int i = 0; i < count; i++) {
            assertEquals(2L * i + 1, sum.getAtIndex(ValueLayout.JAVA_LONG, i));
            assertEquals(i, both.getAtIndex(ValueLayout.JAVA_LONG, i));
            assertEquals(i + 1L, both.getAtIndex(ValueLayout.JAVA_LONG, count + i));
          }
          MemorySegment half = longs(new long[count]);
          staged.reduceScatter(both, half, ElementType.INT64, ReduceOp.SUM).await(LIMIT);
          assertEquals(2L * gpus.rank(), half.getAtIndex(ValueLayout.JAVA_LONG, 0));
          MemorySegment atRoot = longs(own);
          staged.reduce(atRoot, ElementType.INT64, ReduceOp.SUM, 1).await(LIMIT);
          if (gpus.rank() == 1) {
            assertEquals(2L * count - 1, atRoot.getAtIndex(ValueLayout.JAVA_LONG, count - 1));
          }
          MemorySegment told = longs(own);
          staged.broadcast(told, 1).await(LIMIT);
          assertEquals(count, told.getAtIndex(ValueLayout.JAVA_LONG, count - 1));
          Work sent = staged.send(longs(gpus.rank()), (int) other);
          MemorySegment heard = longs(-1);
          staged.recv(heard, (int) other).await(LIMIT);
          sent.await(LIMIT);
          assertLongs(longs(other), heard);
          staged.close();
          device.close();
          return null;
        });
  }

  private static MemorySegment longs(long... values) {
    return Arena.ofAuto().allocateFrom(ValueLayout.JAVA_LONG, values);
  }

  private static void assertLongs(MemorySegment expected, MemorySegment actual) {
    assertArrayEquals(
        expected.toArray(ValueLayout.JAVA_LONG), actual.toArray(ValueLayout.JAVA_LONG));
  }
}
