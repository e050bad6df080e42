package org.ftcluster.worker.optimizer;

import static org.ftcluster.worker.collective.Ranks.LIMIT;
import static org.ftcluster.worker.optimizer.Floats.floats;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Random;
import org.ftcluster.protocol.job.JobSpec.Reduction;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.collective.Ranks;
import org.ftcluster.worker.model.ParameterBuffer.Slice;
import org.ftcluster.worker.optimizer.GradientSum.Flag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** Sums of which each rank has a shard, beside those that every rank has. */
class ShardedGradientSumTest {
  private static final int SIZE = 3 * 4096 + 17;
  private static final int MICRO_BATCHES = 5;

  private record Sum(double loss, double norm, int leaving, float[] own, Shard shard) {}

  @ParameterizedTest
  @CsvSource({"2, EXACT", "3, EXACT", "4, EXACT", "3, FAST", "3, BFLOAT16"})
  void shardsAreThoseOfTheWholeSum(int size, Reduction reduction) throws Exception {
    MemorySegment whole = floats(new float[SIZE]);
    double loss = 0;
    double norm = 0;
    for (Sum alone : sums(1, reduction, 1)) {
      whole.copyFrom(floats(alone.own()));
      loss = alone.loss();
      norm = alone.norm();
    }
    for (Sum sum : sums(size, reduction, 2)) {
      float[] expected = sum.shard().of(whole).toArray(ValueLayout.JAVA_FLOAT);
      assertEquals(loss, sum.loss(), reduction == Reduction.EXACT ? 0 : 1e-9);
      assertEquals(norm, sum.norm(), tolerance(reduction) * norm);
      assertArrayEquals(expected, sum.own(), tolerance(reduction));
      assertEquals(1, sum.leaving());
    }
  }

  /** Ten numbers of magnitude 4 and less are summed; bfloat16 is off by 1/256 of each at most. */
  private static float tolerance(Reduction reduction) {
    return switch (reduction) {
      case EXACT -> 0;
      case FAST -> 1e-5f;
      case BFLOAT16 -> 0.1f;
    };
  }

  @Test
  void aGradientThatIsNoNumberEndsTheStepOnAll() throws Exception {
    for (Reduction reduction : Reduction.values()) {
      Ranks.run(
          2,
          ranks -> {
            ShardLayout layout = new ShardLayout(SIZE, ranks.rank(), 2, true);
            try (GradientSum sum = sharded(reduction, layout, ranks)) {
              MemorySegment gradients = gradients(ranks.rank());
              if (ranks.rank() == 1) {
                gradients.setAtIndex(ValueLayout.JAVA_FLOAT, 3, Float.NaN); // rank 0's shard
              }
              sum.start(2);
              sum.add(gradients, 0.5);
              assertThrows(
                  NonFiniteGradientException.class, () -> sum.reduce(ranks, gradients, LIMIT));
              return null;
            }
          });
    }
  }

  @Test
  void shardsAreWholeBlocksAndLeaveNothingOut() {
    for (int ranks = 1; ranks <= 7; ranks++) {
      long at = 0;
      for (int rank = 0; rank < ranks; rank++) {
        ShardLayout layout = new ShardLayout(SIZE, rank, ranks, true);
        assertEquals(at, layout.own().from());
        assertEquals(0, at % ShardLayout.BLOCK * (at < SIZE ? 1 : 0));
        at = layout.own().to();
      }
      assertEquals(SIZE, at);
    }
    assertEquals(
        List.of(new Shard(8192, SIZE), new Shard(0, 8192)),
        new ShardLayout(SIZE, 1, 2, true).held());
  }

  /** Two stages of two ranks; of the parameters in the middle both have gradients. */
  @ParameterizedTest
  @EnumSource
  void stagesSumWhatIsTheirsAndItGoesWhereTheOptimizerIs(Reduction reduction) throws Exception {
    List<Region> regions =
        List.of(
            new Region(List.of(new Shard(0, 5000))),
            new Region(List.of(new Shard(4000, 4500), new Shard(5000, SIZE))));
    MemorySegment expected = floats(new float[SIZE]);
    try (GradientSum whole = GradientSum.of(reduction, SIZE, 0)) {
      whole.start(2 * MICRO_BATCHES);
      for (int b = 0; b < MICRO_BATCHES; b++) {
        whole.add(only(regions.get(0), gradients(b)), 0.1);
        whole.add(only(regions.get(1), gradients(b + 50)), 0.2);
      }
      List<Double> losses = Ranks.run(1, alone -> whole.reduce(alone, expected, LIMIT));
      assertEquals(1.5, losses.getFirst(), 1e-7);
    }
    Ranks.run(
        4,
        ranks -> {
          int stage = ranks.rank() / 2;
          ShardLayout layout = new ShardLayout(SIZE, ranks.rank(), 4, true);
          try (GradientSum sum =
              new ShardedGradientSum(
                  reduction,
                  layout,
                  regions.get(stage),
                  new Sharers(
                      ranks,
                      ranks,
                      ranks.group("stage", List.of(2 * stage, 2 * stage + 1)),
                      alone(ranks)),
                  LIMIT,
                  null)) {
            MemorySegment gradients = floats(new float[SIZE]);
            sum.start(2 * MICRO_BATCHES);
            // One stage is done before the other begins.
            for (int b = ranks.rank() % 2; b < MICRO_BATCHES + 1; b += 2) {
              if (b < MICRO_BATCHES) {
                sum.add(only(regions.get(stage), gradients(b + 50 * stage)), 0.1 * (stage + 1));
              } else {
                sum.addNothing();
              }
            }
            assertEquals(1.5, sum.reduce(ranks, gradients, LIMIT), 1e-7);
            assertArrayEquals(
                layout.own().of(expected).toArray(ValueLayout.JAVA_FLOAT),
                layout.own().of(gradients).toArray(ValueLayout.JAVA_FLOAT),
                tolerance(reduction));
          }
          return null;
        });
  }

  @Test
  void aRegionIsMadeOfNeighbours() {
    long[] shape = {10};
    assertEquals(
        List.of(new Shard(0, 20), new Shard(40, 60)),
        Region.of(
                List.of(
                    new Slice("d", shape, 50),
                    new Slice("a", shape, 0),
                    new Slice("c", shape, 40),
                    new Slice("b", shape, 10),
                    new Slice("a", shape, 0)))
            .runs());
  }

  private static MemorySegment only(Region region, MemorySegment gradients) {
    MemorySegment kept = floats(new float[SIZE]);
    region.runs().forEach(run -> run.of(kept).copyFrom(run.of(gradients)));
    return kept;
  }

  private static GradientSum sharded(Reduction reduction, ShardLayout layout, Communicator ranks) {
    Region all = new Region(List.of(new Shard(0, SIZE)));
    Sharers sharers = new Sharers(ranks, ranks, ranks, alone(ranks));
    return new ShardedGradientSum(reduction, layout, all, sharers, LIMIT, null);
  }

  private static Communicator alone(Communicator ranks) {
    return ranks.group("alone", List.of(ranks.rank()));
  }

  /** Four ranks are two groups; each sums by itself until the end of the step. */
  @ParameterizedTest
  @EnumSource
  void groupsAddTheirSumsUp(Reduction reduction) throws Exception {
    MemorySegment expected = floats(new float[SIZE]);
    try (GradientSum whole = GradientSum.of(reduction, SIZE, 0)) {
      whole.start(4);
      for (int b = 0; b < 4; b++) {
        whole.add(gradients(b), 0.1);
      }
      Ranks.run(1, alone -> whole.reduce(alone, expected, LIMIT));
    }
    List<Integer> raised =
        Ranks.run(
            4,
            ranks -> {
              int first = ranks.rank() / 2 * 2;
              Communicator group = ranks.group("group", List.of(first, first + 1));
              Communicator twins =
                  ranks.group("twins", List.of(ranks.rank() % 2, ranks.rank() % 2 + 2));
              ShardLayout layout = new ShardLayout(SIZE, group.rank(), 2, false);
              Region all = new Region(List.of(new Shard(0, SIZE)));
              Sharers sharers = new Sharers(ranks, group, group, twins);
              try (GradientSum sum =
                  new ShardedGradientSum(reduction, layout, all, sharers, LIMIT, null)) {
                MemorySegment gradients = floats(new float[SIZE]);
                sum.start(4);
                sum.add(gradients(ranks.rank()), 0.1);
                sum.raise(Flag.HAND_OVER);
                sum.tell(ranks.rank(), 7);
                assertEquals(0.4, sum.reduce(ranks, gradients, LIMIT), 1e-7);
                assertEquals(7, sum.told(3));
                assertArrayEquals(
                    layout.own().of(expected).toArray(ValueLayout.JAVA_FLOAT),
                    layout.own().of(gradients).toArray(ValueLayout.JAVA_FLOAT),
                    tolerance(reduction));
                return sum.raised(Flag.HAND_OVER);
              }
            });
    assertEquals(List.of(4, 4, 4, 4), raised);
  }

  private static List<Sum> sums(int size, Reduction reduction, int steps) throws Exception {
    return Ranks.run(
        size,
        ranks -> {
          ShardLayout layout = new ShardLayout(SIZE, ranks.rank(), size, true);
          try (GradientSum sum = sharded(reduction, layout, ranks)) {
            MemorySegment gradients = floats(new float[SIZE]);
            double loss = 0;
            for (int step = 0; step < steps; step++) {
              sum.start(MICRO_BATCHES);
              for (int b = ranks.rank(); b < size * Math.ceilDiv(MICRO_BATCHES, size); b += size) {
                if (b < MICRO_BATCHES) {
                  sum.add(gradients(b), 0.1 / (b + 1));
                } else {
                  sum.addNothing();
                }
              }
              if (ranks.rank() == size - 1) {
                sum.raise(Flag.LEAVE);
              }
              loss = sum.reduce(ranks, gradients, LIMIT);
            }
            return new Sum(
                loss,
                GradientClip.norm(gradients, layout, ranks, LIMIT),
                sum.raised(Flag.LEAVE),
                layout.own().of(gradients).toArray(ValueLayout.JAVA_FLOAT),
                layout.own());
          }
        });
  }

  private static MemorySegment gradients(int microBatch) {
    Random random = new Random(microBatch);
    float[] values = new float[SIZE];
    for (int i = 0; i < SIZE; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return floats(values);
  }
}
