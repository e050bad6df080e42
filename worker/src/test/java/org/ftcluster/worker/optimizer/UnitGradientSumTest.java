package org.ftcluster.worker.optimizer;

import static org.ftcluster.worker.collective.Ranks.LIMIT;
import static org.ftcluster.worker.optimizer.Floats.floats;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.ftcluster.protocol.job.JobSpec.Reduction;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.collective.Ranks;
import org.ftcluster.worker.collective.Work;
import org.junit.jupiter.api.Test;

/** Gradients that come unit by unit, in rooms that others need after them. */
class UnitGradientSumTest {
  /** The second is more than what is on its way at once: 16 buckets of exact sums. */
  private static final List<Shard> UNITS =
      List.of(new Shard(0, 8192), new Shard(8192, 8192 + (1 << 21)), new Shard(2105344, 2109440));

  private static final int LARGE = 1;

  @Test
  void sumsAreThoseOfOneRankThatHasAllParameters() throws Exception {
    long size = UNITS.getLast().to();
    MemorySegment whole = floats(new float[(int) size]);
    try (GradientSum sum = GradientSum.of(Reduction.EXACT, size, 0)) {
      sum.start(3);
      for (int batch = 0; batch < 3; batch++) {
        MemorySegment gradients = floats(new float[(int) size]);
        for (int unit = 0; unit < UNITS.size(); unit++) {
          UNITS.get(unit).of(gradients).copyFrom(gradients(unit, batch));
        }
        sum.add(gradients, 0.5);
      }
      Ranks.run(1, alone -> sum.reduce(alone, whole, LIMIT));
    }
    Ranks.run(
        2,
        ranks -> {
          try (OptimizerState state = state(ranks);
              GradientSum sum = sum(state, ranks)) {
            sum.start(3);
            MemorySegment room = floats(new float[1 << 21]);
            for (int turn = 0; turn < 2; turn++) {
              int batch = 2 * turn + ranks.rank();
              for (int unit = UNITS.size() - 1; unit >= 0; unit--) {
                if (batch == 3) {
                  sum.addUnit(unit, null);
                  continue;
                }
                // All units have the same room.
                MemorySegment gradients = gradients(unit, batch);
                MemorySegment.copy(gradients, 0, room, 0, gradients.byteSize());
                sum.addUnit(unit, room.asSlice(0, gradients.byteSize())).await(LIMIT);
              }
              if (batch < 3) {
                sum.add(MemorySegment.NULL, 0.5);
              } else {
                sum.addNothing();
              }
            }
            assertEquals(1.5, sum.reduce(ranks, MemorySegment.NULL, LIMIT), 1e-9);
            for (OptimizerState.Piece piece : state.ownPieces()) {
              assertArrayEquals(
                  piece.shard().of(whole).toArray(ValueLayout.JAVA_FLOAT),
                  piece.gradients().toArray(ValueLayout.JAVA_FLOAT),
                  0f);
            }
          }
          return null;
        });
  }

  @Test
  void theBackwardGoesOnWhileUnitsAreSummed() throws Exception {
    CountDownLatch added = new CountDownLatch(1);
    Ranks.run(
        2,
        ranks -> {
          try (OptimizerState state = state(ranks);
              GradientSum sum = sum(state, ranks)) {
            sum.start(2);
            if (ranks.rank() == 1) {
              assertTrue(added.await(LIMIT.toSeconds(), TimeUnit.SECONDS));
            }
            sum.addUnit(2, gradients(2, 0));
            Work large = sum.addUnit(LARGE, gradients(LARGE, 0));
            sum.addUnit(0, gradients(0, 0));
            sum.add(MemorySegment.NULL, 0.5);
            if (ranks.rank() == 0) {
              assertFalse(large.isDone(), "the other rank has nothing of it yet");
              added.countDown();
            }
            large.await(LIMIT);
            assertEquals(1, sum.reduce(ranks, MemorySegment.NULL, LIMIT), 1e-9);
          }
          return null;
        });
  }

  @Test
  void aGradientThatIsNoNumberEndsTheStepOnAll() throws Exception {
    Ranks.run(
        2,
        ranks -> {
          try (OptimizerState state = state(ranks);
              GradientSum sum = sum(state, ranks)) {
            sum.start(2);
            MemorySegment gradients = gradients(0, 0);
            if (ranks.rank() == 1) {
              gradients.setAtIndex(ValueLayout.JAVA_FLOAT, 3, Float.NaN);
            }
            sum.addUnit(0, gradients);
            sum.add(MemorySegment.NULL, 0.5);
            NonFiniteGradientException e =
                assertThrows(
                    NonFiniteGradientException.class,
                    () -> sum.reduce(ranks, MemorySegment.NULL, LIMIT));
            assertTrue(e.getMessage().contains("1 of 2 micro-batches"), e.getMessage());
          }
          return null;
        });
  }

  private static OptimizerState state(Communicator ranks) {
    return new OptimizerState(new ShardLayout(UNITS, ranks.rank(), ranks.size(), false));
  }

  private static GradientSum sum(OptimizerState state, Communicator ranks) {
    Communicator alone = ranks.group("alone", List.of(ranks.rank()));
    Sharers sharers = new Sharers(ranks, ranks, ranks.background(), alone);
    return new UnitGradientSum(Reduction.EXACT, state.layout(), state, sharers, LIMIT, null);
  }

  /** A micro-batch's. */
  private static MemorySegment gradients(int unit, int microBatch) {
    float[] values = new float[(int) UNITS.get(unit).size()];
    for (int i = 0; i < values.length; i++) {
      values[i] = (i * 31 + unit * 17 + microBatch * 7) % 1001 / 512f - 1;
    }
    return floats(values);
  }
}
