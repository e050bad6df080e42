package org.ftcluster.worker.optimizer;

import static org.ftcluster.worker.collective.Ranks.LIMIT;
import static org.ftcluster.worker.optimizer.Floats.floats;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.ftcluster.protocol.job.JobSpec.Reduction;
import org.ftcluster.worker.collective.CollectiveException;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.collective.Ranks;
import org.ftcluster.worker.collective.Works;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Gradients of which each rank sums a share are on their way while a backward goes on. */
class StageReductionTest {
  /** Three buckets for each of three ranks, or two, where they are of four bytes a gradient. */
  private static final int SIZE = 1_000_000;

  private static final int LAYERS = 4;

  /** Rank 0 has four micro-batches, rank 1 one, rank 2 three. */
  private static final int[] MICRO_BATCHES = {4, 1, 3};

  @ParameterizedTest
  @EnumSource
  void sumsThatBeginWhileABackwardRunsAreTheSame(Reduction reduction) throws Exception {
    List<float[]> late = shares(reduction, false);
    List<float[]> early = shares(reduction, true);
    for (int rank = 0; rank < MICRO_BATCHES.length; rank++) {
      assertArrayEquals(late.get(rank), early.get(rank), 0f);
    }
  }

  @Test
  void exactSumsAreThoseOfOneRank() throws Exception {
    float[] whole = new float[SIZE];
    try (GradientSum sum = GradientSum.of(Reduction.EXACT, SIZE, 0)) {
      sum.start(8);
      for (int rank = 0; rank < MICRO_BATCHES.length; rank++) {
        for (int b = 0; b < MICRO_BATCHES[rank]; b++) {
          sum.add(gradients(rank, b, 0), 0.5);
        }
      }
      MemorySegment all = floats(whole);
      Ranks.run(1, alone -> sum.reduce(alone, all, LIMIT));
      whole = all.toArray(ValueLayout.JAVA_FLOAT);
    }
    List<float[]> shares = shares(Reduction.EXACT, true);
    int at = 0;
    for (float[] share : shares) {
      for (float value : share) {
        assertEquals(whole[at], value, 0f);
        at++;
      }
    }
    assertEquals(SIZE, at);
  }

  /** Each rank's share of the sum; ranks say at different places what is complete, rank 1 never. */
  private static List<float[]> shares(Reduction reduction, boolean early) throws Exception {
    return Ranks.run(
        MICRO_BATCHES.length,
        ranks -> {
          ShardLayout layout = layout(ranks);
          try (GradientSum sum = sum(reduction, layout, ranks, ranks.background())) {
            sum.start(8);
            for (int b = 0; b < 4; b++) {
              if (b >= MICRO_BATCHES[ranks.rank()]) {
                sum.addNothing();
                continue;
              }
              for (int layer = LAYERS; early && ranks.rank() != 1 && layer >= 1; layer--) {
                int from = layer * (200_000 + 1000 * ranks.rank());
                sum.addEarly(ranks, gradients(ranks.rank(), b, from), from, b == 3);
              }
              sum.add(gradients(ranks.rank(), b, 0), 0.5);
            }
            MemorySegment gradients = floats(new float[SIZE]);
            assertEquals(4, sum.reduce(ranks, gradients, LIMIT), 1e-6);
            return layout.own().of(gradients).toArray(ValueLayout.JAVA_FLOAT);
          }
        });
  }

  @ParameterizedTest
  @EnumSource
  void bucketsAreSummedBeforeTheBackwardEndsWhicheverMicroBatchItIs(Reduction reduction)
      throws Exception {
    Ranks.run(
        2,
        ranks -> {
          Works begun = new Works(ranks.background());
          try (GradientSum sum = sum(reduction, layout(ranks), ranks, begun.communicator())) {
            sum.start(4);
            for (int b = 0; b < 2; b++) {
              int half = SIZE / 2;
              sum.addEarly(ranks, gradients(ranks.rank(), b, half), half, b == 1);
              // Of the last rank's share one at least is there before this rank goes on.
              begun.next().await(LIMIT);
              sum.add(gradients(ranks.rank(), b, 0), 0.5);
              begun.soFar();
            }
            assertEquals(2, sum.reduce(ranks, floats(new float[SIZE]), LIMIT), 1e-6);
          }
          return null;
        });
  }

  @Test
  void aRankThatIsLostEndsTheBackwardOfOthers() throws Exception {
    CountDownLatch waiting = new CountDownLatch(2);
    List<String> ends =
        Ranks.run(
            3,
            ranks -> {
              if (ranks.rank() == 2) {
                assertTrue(waiting.await(LIMIT.toSeconds(), TimeUnit.SECONDS));
                ranks.abort("lost");
                return "lost";
              }
              GradientSum sum = sum(Reduction.EXACT, layout(ranks), ranks, ranks.background());
              try (sum) {
                sum.start(3);
                MemorySegment gradients = gradients(ranks.rank(), 0, 0);
                sum.addEarly(ranks, gradients, 10, true);
                waiting.countDown();
                CollectiveException e =
                    assertThrows(CollectiveException.class, () -> sum.add(gradients, 0.5));
                return String.valueOf(e.getMessage());
              }
            });
    ends.forEach(end -> assertTrue(end.contains("lost"), end));
  }

  @Test
  void aStepThatIsGivenUpLetsGoOfItsGradients() throws Exception {
    Ranks.run(
        2,
        ranks -> {
          try (GradientSum sum = sum(Reduction.EXACT, layout(ranks), ranks, ranks.background())) {
            sum.start(2);
            if (ranks.rank() == 0) {
              sum.addEarly(ranks, gradients(0, 0, 10), 10, true);
              ranks.abort("enough");
            }
          }
          return null;
        });
  }

  @Test
  void bucketsGoFromTheLastParameterToTheFirstEachToItsOwner() throws Exception {
    Ranks.run(
        2,
        ranks -> {
          List<Shard> parts = List.of(new Shard(0, 10_000), new Shard(50_000, 53_000));
          List<Long> sent = new ArrayList<>();
          try (SumMemory place = SumMemory.of(Reduction.EXACT, null)) {
            StageSums sums = StageSums.allocate(place, parts, ranks);
            for (Bucket bucket : Bucket.of(sums, 5000)) {
              sent.addAll(
                  List.of(
                      bucket.parameters().from(), bucket.parameters().to(), (long) bucket.owner()));
            }
          }
          assertEquals(
              List.of(
                  50_000L, 53_000L, 0L, // less than a block of the norm
                  8192L, 10_000L, 1L, 3192L, 8192L, 0L, 0L, 3192L, 0L),
              sent);
          return null;
        });
  }

  private static ShardLayout layout(Communicator ranks) {
    return new ShardLayout(SIZE, ranks.rank(), ranks.size(), false);
  }

  /**
   * @param stage the same ranks
   */
  private static GradientSum sum(
      Reduction reduction, ShardLayout layout, Communicator ranks, Communicator stage) {
    Region all = new Region(List.of(new Shard(0, SIZE)));
    Communicator alone = ranks.group("alone", List.of(ranks.rank()));
    return new ShardedGradientSum(
        reduction, layout, all, new Sharers(ranks, ranks, stage, alone), LIMIT, null);
  }

  /** A micro-batch's, from a parameter on; as yet nothing before it. */
  private static MemorySegment gradients(int rank, int microBatch, int from) {
    float[] values = new float[SIZE];
    for (int i = from; i < SIZE; i++) {
      values[i] = (i * 31 + rank * 17 + microBatch * 7) % 1001 / 512f - 1;
    }
    return floats(values);
  }
}
