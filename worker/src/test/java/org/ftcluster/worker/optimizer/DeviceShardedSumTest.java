package org.ftcluster.worker.optimizer;

import static org.ftcluster.worker.collective.Ranks.LIMIT;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.ftcluster.protocol.job.JobSpec.Reduction;
import org.ftcluster.worker.collective.CollectiveException;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.collective.Ranks;
import org.ftcluster.worker.collective.nccl.SimulatedNccl;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Sums that ranks share out, in the memory of GPUs, which are simulated, and so is NCCL. */
class DeviceShardedSumTest {
  private static final int SIZE = 20_000;
  private static final int RANKS = 2;
  private static final int STEPS = 2;

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

  /**
   * A rank's sum.
   *
   * @param leave what a backward does with its gradients
   * @param gradients the host's
   */
  private record Rank(
      Communicator hosts, GradientSum sum, Consumer<MemorySegment> leave, MemorySegment gradients) {
    MemorySegment own() {
      return layout(hosts).own().of(gradients);
    }
  }

  private interface Body<T> {
    T run(Rank rank) throws Exception;
  }

  private static ShardLayout layout(Communicator ranks) {
    return new ShardLayout(SIZE, ranks.rank(), ranks.size(), false);
  }

  private static Sharers sharers(Communicator hosts, Communicator stage) {
    return new Sharers(hosts, hosts, stage, hosts.group("alone", List.of(hosts.rank())));
  }

  private static final Region ALL = new Region(List.of(new Shard(0, SIZE)));

  private static <T> List<T> onHosts(Reduction reduction, Body<T> body) throws Exception {
    return Ranks.run(
        RANKS,
        hosts -> {
          MemorySegment gradients = floats();
          Sharers sharers = sharers(hosts, hosts.background());
          try (GradientSum sum =
              new ShardedGradientSum(reduction, layout(hosts), ALL, sharers, LIMIT, null)) {
            return body.run(new Rank(hosts, sum, gradients::copyFrom, gradients));
          }
        });
  }

  private static <T> List<T> onGpus(Reduction reduction, Body<T> body) throws Exception {
    return GpuRank.run(
        RANKS,
        SIZE,
        gpu -> {
          Communicator hosts = gpu.hosts();
          Sharers sharers = sharers(hosts, Objects.requireNonNull(gpu.gpus()));
          try (GradientSum sum =
              new ShardedGradientSum(
                  reduction, layout(hosts), ALL, sharers, LIMIT, gpu.parameters())) {
            return body.run(new Rank(hosts, sum, gpu::leave, gpu.buffer().gradients()));
          }
        });
  }

  private record Sum(double loss, float[] own) {}

  @ParameterizedTest
  @EnumSource
  void sumsAreThoseOfHostsBitForBit(Reduction reduction) throws Exception {
    List<Sum> expected = onHosts(reduction, DeviceShardedSumTest::steps);
    List<Sum> actual = onGpus(reduction, DeviceShardedSumTest::steps);
    for (int rank = 0; rank < RANKS; rank++) {
      assertEquals(expected.get(rank).loss(), actual.get(rank).loss());
      assertArrayEquals(expected.get(rank).own(), actual.get(rank).own(), 0f);
    }
  }

  /** Backwards leave their gradients in two parts, and one rank has a micro-batch less. */
  private static Sum steps(Rank rank) {
    GradientSum sum = rank.sum();
    double loss = 0;
    for (int step = 0; step < STEPS; step++) {
      sum.start(MICRO_BATCHES * RANKS - 1);
      for (int b = 0; b < MICRO_BATCHES; b++) {
        if (b == MICRO_BATCHES - 1 && rank.hosts().rank() == 1) {
          sum.addNothing();
          continue;
        }
        int seed = (step * MICRO_BATCHES + b) * RANKS + rank.hosts().rank();
        rank.leave().accept(random(seed, 7_001));
        sum.addEarly(rank.hosts(), rank.gradients(), 7_001, b == MICRO_BATCHES - 1);
        rank.leave().accept(random(seed, 0));
        sum.add(rank.gradients(), 0.1 / (seed + 1));
      }
      loss = sum.reduce(rank.hosts(), rank.gradients(), LIMIT);
    }
    return new Sum(loss, rank.own().toArray(ValueLayout.JAVA_FLOAT));
  }

  @ParameterizedTest
  @EnumSource
  void aGradientThatIsNoNumberOnOneRankEndsTheStepOnAll(Reduction reduction) throws Exception {
    for (int position : new int[] {0, SIZE - 1}) {
      onGpus(
          reduction,
          rank -> {
            MemorySegment gradients = random(1, 0);
            if (rank.hosts().rank() == 1) {
              int quiet = 0x7FFF_FFFF; // would round to zero
              gradients.setAtIndex(ValueLayout.JAVA_INT, position, quiet);
            }
            rank.sum().start(2);
            rank.leave().accept(gradients);
            rank.sum().add(rank.gradients(), 0.5);
            assertThrows(
                NonFiniteGradientException.class,
                () -> rank.sum().reduce(rank.hosts(), rank.gradients(), LIMIT));

            rank.sum().start(2);
            rank.leave().accept(random(2, 0));
            rank.sum().add(rank.gradients(), 0.5);
            assertEquals(1, rank.sum().reduce(rank.hosts(), rank.gradients(), LIMIT));
            return null;
          });
    }
  }

  /**
   * NCCL would wait for the rest of the step for ever, and what it writes to would never be free.
   */
  @Test
  void aRankThatIsLostInTheMidstOfABackwardHoldsNobodyUp() throws Exception {
    CountDownLatch sent = new CountDownLatch(1);
    onGpus(
        Reduction.EXACT,
        rank -> {
          rank.sum().start(2);
          if (rank.hosts().rank() == 1) {
            assertTrue(sent.await(LIMIT.toSeconds(), TimeUnit.SECONDS));
            rank.hosts().abort("rank 1 is lost"); // NCCL isn't told
            return null;
          }
          rank.sum().addEarly(rank.hosts(), rank.gradients(), SIZE / 2, true);
          sent.countDown();
          CollectiveException e =
              assertThrows(
                  CollectiveException.class,
                  () -> {
                    rank.sum().add(rank.gradients(), 1);
                    rank.sum().reduce(rank.hosts(), rank.gradients(), LIMIT);
                  });
          assertTrue(e.getMessage().contains("rank 1 is lost"), e.getMessage());
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
