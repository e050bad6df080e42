package org.ftcluster.worker.optimizer;

import static org.ftcluster.worker.collective.Ranks.LIMIT;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.ftcluster.protocol.job.JobSpec.Reduction;
import org.ftcluster.worker.collective.CollectiveException;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.collective.Ranks;
import org.ftcluster.worker.collective.Work;
import org.ftcluster.worker.collective.Works;
import org.ftcluster.worker.collective.nccl.SimulatedNccl;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Sums in the memory of GPUs, which are simulated, and so is NCCL. */
class DeviceGradientSumTest {
  private static final int SIZE = 20_000;

  /** Of exact sums there are five pieces. */
  private static final long PIECE_BYTES = 32 << 10;

  /** A rank's. */
  private static final int MICRO_BATCHES = 3;

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

  private static <T> List<T> run(int size, GpuRank.Body<T> body) throws Exception {
    return GpuRank.run(size, SIZE, body);
  }

  private static GradientSum sum(GpuRank rank, Reduction reduction) {
    return sum(rank, reduction, rank.gpus());
  }

  private static GradientSum sum(GpuRank rank, Reduction reduction, @Nullable Communicator others) {
    return new DeviceGradientSum(reduction, rank.parameters(), 0, others, true, true, PIECE_BYTES);
  }

  private record Sum(double loss, float[] gradients) {}

  @ParameterizedTest
  @EnumSource
  void sumsAreThoseOfHostsBitForBit(Reduction reduction) throws Exception {
    for (int size : new int[] {1, 2}) {
      List<Sum> expected =
          Ranks.run(
              size,
              hosts -> {
                MemorySegment gradients = floats();
                try (GradientSum sum = GradientSum.of(reduction, SIZE, 0)) {
                  return steps(sum, hosts, gradients, gradients::copyFrom);
                }
              });
      List<Sum> actual =
          run(
              size,
              rank -> {
                try (GradientSum sum = sum(rank, reduction)) {
                  return steps(sum, rank.hosts(), rank.buffer().gradients(), rank::leave);
                }
              });
      for (int rank = 0; rank < size; rank++) {
        assertEquals(expected.get(rank).loss(), actual.get(rank).loss(), 1e-7);
        assertArrayEquals(expected.get(rank).gradients(), actual.get(rank).gradients(), 0f);
      }
    }
  }

  /**
   * Two steps, whose backwards leave their gradients in three parts.
   *
   * @param leave does it
   */
  private static Sum steps(
      GradientSum sum, Communicator hosts, MemorySegment gradients, Consumer<MemorySegment> leave) {
    double loss = 0;
    for (int step = 0; step < 2; step++) {
      sum.start(MICRO_BATCHES * hosts.size());
      for (int b = 0; b < MICRO_BATCHES; b++) {
        int seed = (step * MICRO_BATCHES + b) * hosts.size() + hosts.rank();
        for (int from : new int[] {15_000, 7_001}) {
          leave.accept(random(seed, from));
          sum.addEarly(hosts, gradients, from, b == MICRO_BATCHES - 1);
        }
        leave.accept(random(seed, 0));
        sum.add(gradients, 0.1 / (seed + 1));
      }
      loss = sum.reduce(hosts, gradients, LIMIT);
    }
    return new Sum(loss, gradients.toArray(ValueLayout.JAVA_FLOAT));
  }

  @Test
  void piecesAreOnTheirWayWhileTheLastBackwardGoesOn() throws Exception {
    run(
        2,
        rank -> {
          Works begun = new Works(rank.gpus());
          MemorySegment gradients = rank.buffer().gradients();
          try (GradientSum sum = sum(rank, Reduction.EXACT, begun.communicator())) {
            rank.leave(random(1, 0));
            sum.start(4);
            sum.addEarly(rank.hosts(), gradients, SIZE / 2, false);
            sum.add(gradients, 1);
            assertEquals(List.of(), begun.soFar(), "another micro-batch follows");

            sum.addEarly(rank.hosts(), gradients, SIZE / 2, true);
            List<Work> pieces = begun.soFar();
            assertEquals(2, pieces.size());
            for (Work piece : pieces) {
              piece.await(LIMIT);
            }
            sum.add(gradients, 1);
            assertEquals(4, sum.reduce(rank.hosts(), gradients, LIMIT));
          }
          MemorySegment once = random(1, 0);
          for (int i = 0; i < SIZE; i++) {
            float expected = 4 * once.getAtIndex(ValueLayout.JAVA_FLOAT, i);
            assertEquals(expected, gradients.getAtIndex(ValueLayout.JAVA_FLOAT, i), 1e-6f);
          }
          return null;
        });
  }

  /**
   * NCCL would wait for the rest of the step for ever, and what it writes to would never be free.
   */
  @Test
  void aRankThatIsLostInTheMidstOfABackwardHoldsNobodyUp() throws Exception {
    CountDownLatch sent = new CountDownLatch(1);
    run(
        2,
        rank -> {
          MemorySegment gradients = rank.buffer().gradients();
          try (GradientSum sum = sum(rank, Reduction.EXACT)) {
            sum.start(2);
            if (rank.hosts().rank() == 1) {
              assertTrue(sent.await(LIMIT.toSeconds(), TimeUnit.SECONDS));
              rank.hosts().abort("rank 1 is lost"); // NCCL isn't told
              return null;
            }
            sum.addEarly(rank.hosts(), gradients, SIZE / 2, true);
            sent.countDown();
            sum.add(gradients, 1);
            CollectiveException e =
                assertThrows(
                    CollectiveException.class, () -> sum.reduce(rank.hosts(), gradients, LIMIT));
            assertTrue(e.getMessage().contains("rank 1 is lost"), e.getMessage());
          }
          return null;
        });
  }

  @ParameterizedTest
  @EnumSource
  void aGradientThatIsNoNumberOnOneRankEndsTheStepOnAll(Reduction reduction) throws Exception {
    run(
        2,
        rank -> {
          MemorySegment gradients = random(1, 0);
          for (int position : new int[] {0, SIZE - 1}) {
            try (GradientSum sum = sum(rank, reduction)) {
              sum.start(2);
              if (rank.hosts().rank() == 1) {
                gradients.setAtIndex(ValueLayout.JAVA_FLOAT, position, Float.NaN);
              }
              rank.leave(gradients);
              sum.addEarly(rank.hosts(), gradients, 10, true);
              sum.add(gradients, 0.5);
              assertThrows(
                  NonFiniteGradientException.class,
                  () -> sum.reduce(rank.hosts(), gradients, LIMIT));
            }
          }
          return null;
        });
  }

  private static MemorySegment floats() {
    return Floats.zeros(SIZE);
  }

  /** Zeros before a parameter. */
  private static MemorySegment random(int seed, int from) {
    return Floats.random(SIZE, seed, from);
  }
}
