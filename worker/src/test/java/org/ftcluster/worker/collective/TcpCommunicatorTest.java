package org.ftcluster.worker.collective;

import static org.ftcluster.worker.collective.Ranks.LIMIT;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.atomic.AtomicInteger;
import org.ftcluster.worker.collective.Communicator.ElementType;
import org.ftcluster.worker.collective.Communicator.ReduceOp;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What the collectives leave in the buffers, for any number of ranks. */
class TcpCommunicatorTest {
  /** None, fewer than ranks, odd, a few chunks and a bit. */
  private static final int[] COUNTS = {0, 1, 3, 7, 1000, 200_003};

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 4, 5})
  void allReduceSumsIntegersOfAllRanks(int size) throws Exception {
    for (int count : COUNTS) {
      List<long[]> results =
          Ranks.run(
              size,
              ranks -> {
                MemorySegment buffer = longs(count, i -> i * (ranks.rank() + 1L));
                ranks.allReduce(buffer, ElementType.INT64, ReduceOp.SUM).await(LIMIT);
                return buffer.toArray(ValueLayout.JAVA_LONG);
              });
      long factor = size * (size + 1L) / 2;
      for (long[] result : results) {
        assertArrayEquals(longs(count, i -> i * factor).toArray(ValueLayout.JAVA_LONG), result);
      }
    }
  }

  /** A tree's branches are of different lengths. */
  @ParameterizedTest
  @ValueSource(ints = {4, 5, 6, 7, 8})
  void smallBuffersGoAlongATree(int size) throws Exception {
    for (int count : new int[] {0, 1, 17, (int) Tree.MOST_BYTES / Long.BYTES}) {
      assertTrue(Tree.suits(size, (long) count * Long.BYTES));
      List<long[]> results =
          Ranks.run(
              size,
              ranks -> {
                MemorySegment buffer = longs(count, i -> i * (ranks.rank() + 1L));
                MemorySegment largest = longs(count, i -> i - ranks.rank());
                Work first = ranks.allReduce(buffer, ElementType.INT64, ReduceOp.SUM);
                ranks.allReduce(largest, ElementType.INT64, ReduceOp.MAX).await(LIMIT);
                assertTrue(first.isDone());
                assertEquals(-1, largest.mismatch(longs(count, i -> i)));
                return buffer.toArray(ValueLayout.JAVA_LONG);
              });
      long factor = size * (size + 1L) / 2;
      for (long[] result : results) {
        assertArrayEquals(longs(count, i -> i * factor).toArray(ValueLayout.JAVA_LONG), result);
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 4, 5})
  void allReducedFloatsAreTheSameBitsOnAllRanksAndEachTime(int size) throws Exception {
    int count = 100_001;
    Ranks.Body<float[]> sum =
        ranks -> {
          MemorySegment buffer = floats(count, ranks.rank());
          ranks.allReduce(buffer, ElementType.FLOAT32, ReduceOp.SUM).await(LIMIT);
          return buffer.toArray(ValueLayout.JAVA_FLOAT);
        };
    List<float[]> results = Ranks.run(size, sum);
    double[] expected = new double[count];
    for (int rank = 0; rank < size; rank++) {
      float[] own = floats(count, rank).toArray(ValueLayout.JAVA_FLOAT);
      for (int i = 0; i < count; i++) {
        expected[i] += own[i];
      }
    }
    for (int i = 0; i < count; i++) {
      assertEquals(expected[i], results.getFirst()[i], 1e-5);
    }
    for (float[] result : results) {
      assertArrayEquals(results.getFirst(), result, 0f);
    }
    assertArrayEquals(results.getFirst(), Ranks.run(size, sum).getFirst(), 0f);
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 3})
  void bfloat16IsAddedInFloat32AndRounded(int size) throws Exception {
    List<short[]> results =
        Ranks.run(
            size,
            ranks -> {
              // 1 + 2^-7 is the next number after 1; what is smaller than half of that is lost.
              short[] values = new short[4097];
              Arrays.fill(values, bits(ranks.rank() == 0 ? 1 : 0x1p-7f));
              values[0] = bits(ranks.rank() == 0 ? 1 : 0x1p-10f);
              values[4096] = bits(Float.NaN);
              MemorySegment buffer = Arena.ofAuto().allocateFrom(ValueLayout.JAVA_SHORT, values);
              ranks.allReduce(buffer, ElementType.BFLOAT16, ReduceOp.SUM).await(LIMIT);
              return buffer.toArray(ValueLayout.JAVA_SHORT);
            });
    for (short[] result : results) {
      assertEquals(bits(1), result[0]);
      assertEquals(bits(1 + (size - 1) * 0x1p-7f), result[1]);
      assertTrue(Float.isNaN(Float.intBitsToFloat(result[4096] << 16)));
    }
  }

  private static short bits(float value) {
    return (short) (Float.floatToIntBits(value) >>> 16);
  }

  @Test
  void allReduceFindsTheMaximumAndSumsDoubles() throws Exception {
    List<double[]> results =
        Ranks.run(
            3,
            ranks -> {
              MemorySegment sum = doubles(ranks.rank() + 0.25, -1, 5, 6, 7, 8, 9, 10, 11);
              MemorySegment max = doubles(ranks.rank(), -ranks.rank() - 1, 3, 3, 3, 3, 3, 3, 0.5);
              Work first = ranks.allReduce(sum, ElementType.FLOAT64, ReduceOp.SUM);
              Work second = ranks.allReduce(max, ElementType.FLOAT64, ReduceOp.MAX);
              second.await(LIMIT);
              assertTrue(first.isDone());
              double[] both = new double[4];
              MemorySegment.copy(sum, ValueLayout.JAVA_DOUBLE, 0, both, 0, 2);
              MemorySegment.copy(max, ValueLayout.JAVA_DOUBLE, 0, both, 2, 2);
              return both;
            });
    for (double[] result : results) {
      assertArrayEquals(new double[] {3.75, -3, 2, -1}, result);
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 4, 5})
  void reduceLeavesTheSumAtTheRoot(int size) throws Exception {
    for (int count : COUNTS) {
      List<long[]> results =
          Ranks.run(
              size,
              ranks -> {
                MemorySegment own = MemorySegment.NULL;
                List<Work> reductions = new ArrayList<>();
                for (int root = size - 1; root >= 0; root--) {
                  int factor = root + 1;
                  MemorySegment buffer = longs(count, i -> i * factor + ranks.rank());
                  reductions.add(ranks.reduce(buffer, ElementType.INT64, ReduceOp.SUM, root));
                  own = root == ranks.rank() ? buffer : own;
                }
                reductions.forEach(reduction -> reduction.await(LIMIT));
                return own.toArray(ValueLayout.JAVA_LONG);
              });
      long others = size * (size - 1L) / 2;
      for (int rank = 0; rank < size; rank++) {
        long factor = size * (rank + 1L);
        assertArrayEquals(
            longs(count, i -> i * factor + others).toArray(ValueLayout.JAVA_LONG),
            results.get(rank));
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 4, 5})
  void reduceScatterGivesEachRankItsPartOfTheSum(int size) throws Exception {
    for (int part : new int[] {0, 1, 5, 100_003}) {
      List<long[]> results =
          Ranks.run(
              size,
              ranks -> {
                MemorySegment input = longs(part * size, i -> i + ranks.rank());
                MemorySegment before = longs(part * size, i -> i + ranks.rank());
                MemorySegment output = longs(part, i -> -1);
                ranks.reduceScatter(input, output, ElementType.INT64, ReduceOp.SUM).await(LIMIT);
                assertEquals(-1, input.mismatch(before), "the input stays as it was");
                return output.toArray(ValueLayout.JAVA_LONG);
              });
      for (int rank = 0; rank < size; rank++) {
        long first = (long) rank * part;
        long ranksSum = size * (size - 1L) / 2;
        assertArrayEquals(
            longs(part, i -> size * (first + i) + ranksSum).toArray(ValueLayout.JAVA_LONG),
            results.get(rank));
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 4, 5})
  void allGatherLaysAllRanksInputsSideBySide(int size) throws Exception {
    for (int part : new int[] {0, 1, 5, 100_003}) {
      List<long[]> results =
          Ranks.run(
              size,
              ranks -> {
                MemorySegment output = longs(part * size, i -> -1);
                ranks.allGather(longs(part, i -> i * 10 + ranks.rank()), output).await(LIMIT);
                return output.toArray(ValueLayout.JAVA_LONG);
              });
      long[] expected = new long[part * size];
      for (int i = 0; i < expected.length; i++) {
        expected[i] = (i % part) * 10L + i / part;
      }
      for (long[] result : results) {
        assertArrayEquals(expected, result);
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 4, 5})
  void broadcastGivesEveryRankTheRootsBytes(int size) throws Exception {
    for (int count : COUNTS) {
      for (int root = 0; root < size; root += Math.max(1, size - 2)) {
        int source = root;
        List<long[]> results =
            Ranks.run(
                size,
                ranks -> {
                  MemorySegment buffer = longs(count, i -> i + 1000L * ranks.rank());
                  ranks.broadcast(buffer, source).await(LIMIT);
                  return buffer.toArray(ValueLayout.JAVA_LONG);
                });
        for (long[] result : results) {
          assertArrayEquals(
              longs(count, i -> i + 1000L * source).toArray(ValueLayout.JAVA_LONG), result);
        }
      }
    }
  }

  @Test
  void nobodyPassesABarrierBeforeAllHaveReachedIt() throws Exception {
    AtomicInteger reached = new AtomicInteger();
    Ranks.run(
        4,
        ranks -> {
          for (int round = 1; round <= 20; round++) {
            reached.incrementAndGet();
            ranks.barrier().await(LIMIT);
            assertTrue(reached.get() >= 4 * round);
            ranks.barrier().await(LIMIT);
          }
          return reached;
        });
  }

  @Test
  void twoRanksMaySendEachOtherMoreThanSocketsHoldBeforeEitherReceives() throws Exception {
    int count = 4 << 20;
    Ranks.run(
        3,
        ranks -> {
          int next = (ranks.rank() + 1) % 3;
          int previous = (ranks.rank() + 2) % 3;
          MemorySegment out = longs(count, i -> i + ranks.rank());
          MemorySegment in = longs(count, i -> 0);
          Work sent = ranks.send(out, next);
          Work received = ranks.recv(in, previous);
          received.await(LIMIT);
          sent.await(LIMIT);
          assertEquals(-1, in.mismatch(longs(count, i -> i + previous)));
          return null;
        });
  }

  @Test
  void messagesAndCollectivesKeepTheirOrder() throws Exception {
    Ranks.run(
        2,
        ranks -> {
          int peer = 1 - ranks.rank();
          MemorySegment first = longs(3, i -> 10 + ranks.rank());
          MemorySegment second = longs(3, i -> 1);
          MemorySegment third = longs(3, i -> 20 + ranks.rank());
          MemorySegment in = longs(3, i -> 0);
          MemorySegment last = longs(3, i -> 0);
          ranks.send(first, peer);
          ranks.recv(in, peer);
          ranks.allReduce(second, ElementType.INT64, ReduceOp.SUM);
          ranks.send(third, peer);
          ranks.recv(last, peer).await(LIMIT);
          assertEquals(10 + peer, in.get(ValueLayout.JAVA_LONG, 0));
          assertEquals(2, second.get(ValueLayout.JAVA_LONG, 0));
          assertEquals(20 + peer, last.get(ValueLayout.JAVA_LONG, 0));
          ranks.barrier().await(LIMIT);
          return null;
        });
  }

  @Test
  void bigBuffersGoThrough() throws Exception {
    int count = 16 << 20;
    Ranks.run(
        2,
        ranks -> {
          MemorySegment buffer = Arena.ofAuto().allocate(4L * count, 64);
          for (int i = 0; i < count; i++) {
            buffer.setAtIndex(ValueLayout.JAVA_FLOAT, i, i % 1000 + ranks.rank());
          }
          ranks.allReduce(buffer, ElementType.FLOAT32, ReduceOp.SUM).await(LIMIT);
          for (int i = 0; i < count; i++) {
            float expected = 2 * (i % 1000) + 1;
            if (buffer.getAtIndex(ValueLayout.JAVA_FLOAT, i) != expected) {
              assertEquals(expected, buffer.getAtIndex(ValueLayout.JAVA_FLOAT, i), "at " + i);
            }
          }
          return null;
        });
  }

  @Test
  void buffersThatOperationsCantUseAreRefusedAtOnce() throws Exception {
    Ranks.run(
        1,
        alone -> {
          MemorySegment heap = MemorySegment.ofArray(new float[4]);
          MemorySegment odd = Arena.ofAuto().allocate(6);
          assertThrows(
              IllegalArgumentException.class,
              () -> alone.allReduce(heap, ElementType.FLOAT32, ReduceOp.SUM));
          assertThrows(
              IllegalArgumentException.class,
              () -> alone.allReduce(odd, ElementType.FLOAT32, ReduceOp.SUM));
          assertThrows(IllegalArgumentException.class, () -> alone.send(odd, 0));
          assertThrows(IllegalArgumentException.class, () -> alone.broadcast(odd, 1));
          try (Arena confined = Arena.ofConfined()) {
            MemorySegment ours = confined.allocate(8);
            assertThrows(IllegalArgumentException.class, () -> alone.broadcast(ours, 0));
          }
          return null;
        });
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

  private static MemorySegment doubles(double... values) {
    return Arena.ofAuto().allocateFrom(ValueLayout.JAVA_DOUBLE, values);
  }

  private static MemorySegment floats(int count, long seed) {
    Random random = new Random(seed);
    MemorySegment segment = Arena.ofAuto().allocate(4L * count, 64);
    for (int i = 0; i < count; i++) {
      segment.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) random.nextGaussian());
    }
    return segment;
  }
}
