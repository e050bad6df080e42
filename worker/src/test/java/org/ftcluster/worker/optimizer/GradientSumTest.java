package org.ftcluster.worker.optimizer;

import static org.ftcluster.worker.collective.Ranks.LIMIT;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.function.Function;
import org.ftcluster.protocol.job.JobSpec.Reduction;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.collective.Ranks;
import org.ftcluster.worker.optimizer.GradientSum.Flag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class GradientSumTest {
  private static final int SIZE = 1003;
  private static final int MICRO_BATCHES = 12;

  @Test
  void exactSumsAreTheSameBitsOnAnyNumberOfRanks() throws Exception {
    Sum alone = sum(1, Reduction.EXACT).getFirst();
    for (int size = 2; size <= 4; size++) {
      for (Sum sum : sum(size, Reduction.EXACT)) {
        assertArrayEquals(alone.gradients(), sum.gradients(), 0f);
        assertEquals(alone.loss(), sum.loss());
      }
    }
  }

  @ParameterizedTest
  @EnumSource
  void sumsAreThoseOfTheMicroBatches(Reduction reduction) throws Exception {
    for (Sum sum : sum(3, reduction)) {
      double loss = 0;
      double[] expected = new double[SIZE];
      double[] magnitudes = new double[SIZE];
      for (int b = 0; b < MICRO_BATCHES; b++) {
        float[] values = gradients(b).toArray(ValueLayout.JAVA_FLOAT);
        for (int i = 0; i < SIZE; i++) {
          expected[i] += values[i];
          magnitudes[i] += Math.abs(values[i]);
        }
        loss += loss(b);
      }
      for (int i = 0; i < SIZE; i++) {
        assertEquals(expected[i], sum.gradients()[i], tolerance(reduction) * magnitudes[i] + 1e-12);
      }
      assertEquals(loss, sum.loss(), 1e-7);
    }
  }

  /** Of all terms' magnitude: three ranks' sums, and two on their way, are rounded to 8 bits. */
  private static double tolerance(Reduction reduction) {
    return switch (reduction) {
      case EXACT, FAST -> 1e-6;
      case BFLOAT16 -> 5 * 0x1p-9;
    };
  }

  @ParameterizedTest
  @EnumSource
  void ranksMeetOnceAStepHoweverManyMicroBatchesTheyAddUp(Reduction reduction) throws Exception {
    for (int microBatches : new int[] {1, MICRO_BATCHES}) {
      List<List<String>> calls =
          Ranks.run(
              2,
              ranks -> {
                List<String> heard = new ArrayList<>();
                try (GradientSum sum = GradientSum.of(reduction, SIZE, 0)) {
                  sum.start(2 * microBatches);
                  for (int b = 0; b < microBatches; b++) {
                    sum.add(gradients(b), loss(b));
                  }
                  sum.reduce(overheard(ranks, heard), gradients(0), LIMIT);
                }
                return heard;
              });
      // bfloat16 has its losses apart.
      List<String> once = Collections.nCopies(reduction == Reduction.BFLOAT16 ? 2 : 1, "allReduce");
      assertEquals(List.of(once, once), calls);
    }
  }

  @ParameterizedTest
  @EnumSource
  void sumsThatBeginWhileABackwardRunsAreTheSame(Reduction reduction) throws Exception {
    int size = 1_300_001; // some pieces, also in bfloat16
    List<List<float[]>> sums =
        Ranks.run(
            3,
            ranks -> {
              List<float[]> results = new ArrayList<>();
              MemorySegment gradients = floats(new float[size]);
              for (boolean early : new boolean[] {false, true}) {
                try (GradientSum sum = GradientSum.of(reduction, size, 0)) {
                  sum.start(6);
                  fill(gradients, ranks.rank(), 0);
                  sum.add(gradients, 0.5);
                  fill(gradients, 10 + ranks.rank(), 0);
                  // Rank 2 never says so, and the others don't do it at the same places.
                  for (int layer = 3; early && ranks.rank() < 2 && layer >= 1; layer--) {
                    int from = layer * (300_000 + 1000 * ranks.rank());
                    MemorySegment yet = floats(new float[size]);
                    fill(yet, 10 + ranks.rank(), from);
                    sum.addEarly(ranks, yet, from);
                  }
                  sum.add(gradients, 0.5);
                  assertEquals(3, sum.reduce(ranks, gradients, LIMIT), 1e-6);
                  results.add(gradients.toArray(ValueLayout.JAVA_FLOAT));
                }
              }
              return results;
            });
    for (List<float[]> sum : sums) {
      assertArrayEquals(sums.getFirst().getFirst(), sum.get(0), 0f);
      assertArrayEquals(sums.getFirst().getFirst(), sum.get(1), 0f);
    }
  }

  private static void fill(MemorySegment gradients, int seed, int from) {
    for (int i = from; i < gradients.byteSize() / Float.BYTES; i++) {
      gradients.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) Math.sin(i + seed));
    }
  }

  @Test
  void aStepThatFailsHalfWayLetsGoOfItsSums() throws Exception {
    Ranks.run(
        2,
        ranks -> {
          int size = 300_000;
          try (GradientSum sum = GradientSum.of(Reduction.EXACT, size, 0)) {
            sum.start(2);
            if (ranks.rank() == 0) {
              sum.addEarly(ranks, floats(new float[size]), 10);
            }
            ranks.abort("enough");
          }
          return null;
        });
  }

  private static Communicator overheard(Communicator ranks, List<String> heard) {
    return (Communicator)
        Proxy.newProxyInstance(
            Communicator.class.getClassLoader(),
            new Class<?>[] {Communicator.class},
            (proxy, method, arguments) -> {
              heard.add(method.getName());
              return method.invoke(ranks, arguments);
            });
  }

  @ParameterizedTest
  @EnumSource
  void aFlagThatOneRankRaisesIsSeenByAllForOneStep(Reduction reduction) throws Exception {
    List<List<Integer>> seen =
        twoSteps(
            reduction,
            (sum, step, rank) -> {
              if (step == 0 && rank > 0) {
                sum.raise(Flag.HAND_OVER);
              }
              if (step == 1 && rank == 0) {
                sum.raise(Flag.LEAVE);
              }
            },
            sum -> List.of(sum.raised(Flag.HAND_OVER), sum.raised(Flag.LEAVE)));
    assertEquals(Collections.nCopies(3, List.of(2, 0, 0, 1)), seen);
  }

  @ParameterizedTest
  @EnumSource
  void whatOneRankTellsAllKnowForOneStep(Reduction reduction) throws Exception {
    List<List<Long>> known =
        twoSteps(
            reduction,
            (sum, step, rank) -> {
              if (step == 0 && rank > 0) {
                sum.tell(rank - 1, (3L << 40) * rank);
              }
              sum.raise(Flag.HAND_OVER);
            },
            sum -> List.of(sum.told(0), sum.told(1)));
    assertEquals(Collections.nCopies(3, List.of(3L << 40, 6L << 40, 0L, 0L)), known);
  }

  /** What a rank does before a step's sum. */
  private interface Saying {
    void in(GradientSum sum, int step, int rank);
  }

  /** What three ranks hear in two steps, one after the other. */
  private static <T> List<List<T>> twoSteps(
      Reduction reduction, Saying said, Function<GradientSum, List<T>> heard) throws Exception {
    return Ranks.run(
        3,
        ranks -> {
          List<T> all = new ArrayList<>();
          try (GradientSum sum = GradientSum.of(reduction, 1, 2)) {
            for (int step = 0; step < 2; step++) {
              sum.start(1);
              said.in(sum, step, ranks.rank());
              sum.reduce(ranks, floats(0), LIMIT);
              all.addAll(heard.apply(sum));
            }
          }
          return all;
        });
  }

  @ParameterizedTest
  @EnumSource
  void aGradientThatIsNoNumberOnOneRankEndsTheStepOnAll(Reduction reduction) throws Exception {
    for (float bad : new float[] {Float.NaN, Float.POSITIVE_INFINITY}) {
      for (int position : new int[] {0, SIZE - 1}) {
        assertRefused(reduction, position, bad, 0.5);
      }
    }
    assertRefused(reduction, 0, 1f, Double.NaN);
  }

  @Test
  void whatCouldOverflowIsRefusedAndWhatCannotIsNot() throws Exception {
    float limit = (float) FixedPoint.limit(2);
    assertRefused(Reduction.EXACT, 0, Math.nextUp(limit), 0.5);
    assertRefused(Reduction.EXACT, SIZE - 1, -Math.nextUp(limit), 0.5);
    List<Double> sums =
        Ranks.run(
            2,
            ranks -> {
              try (GradientSum sum = GradientSum.of(Reduction.EXACT, 1, 0)) {
                MemorySegment gradient = floats(-limit);
                sum.start(2);
                sum.add(gradient, -limit);
                double loss = sum.reduce(ranks, gradient, LIMIT);
                assertEquals(-2 * limit, gradient.get(ValueLayout.JAVA_FLOAT, 0));
                return loss;
              }
            });
    assertEquals(List.of(-2.0 * limit, -2.0 * limit), sums);
  }

  @Test
  void vectorsConvertAsScalarsDo() {
    Random random = new Random(5);
    int count = 20_003;
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      // All magnitudes from far below the resolution up to the limit, ties among them.
      double magnitude =
          Math.scalb(random.nextInt(8) == 0 ? 1.5 : random.nextDouble(), i % 80 - 62);
      values[i] = (float) (random.nextBoolean() ? magnitude : -magnitude);
    }
    MemorySegment sums = Arena.ofAuto().allocate(8L * count, 8);
    assertTrue(FixedPoint.add(sums, floats(values), FixedPoint.limit(1)));
    assertTrue(FixedPoint.add(sums, floats(values), FixedPoint.limit(1)));
    long[] expected = new long[count];
    float[] back = new float[count];
    for (int i = 0; i < count; i++) {
      expected[i] = 2 * FixedPoint.of(values[i]);
      back[i] = (float) FixedPoint.toDouble(expected[i]);
    }
    assertArrayEquals(expected, sums.toArray(ValueLayout.JAVA_LONG));
    MemorySegment floats = floats(new float[count]);
    FixedPoint.toFloats(sums, floats);
    assertArrayEquals(back, floats.toArray(ValueLayout.JAVA_FLOAT), 0f);
    assertFalse(FixedPoint.add(sums, floats(values), 0x1p-10));
  }

  @Test
  void anyIntegerBecomesTheNearestFloat() {
    Random random = new Random(6);
    long[] sums = new long[10_001];
    for (int i = 0; i < sums.length; i++) {
      sums[i] = random.nextLong() >> (i % 64);
    }
    sums[0] = Long.MAX_VALUE;
    sums[1] = Long.MIN_VALUE;
    MemorySegment floats = floats(new float[sums.length]);
    FixedPoint.toFloats(Arena.ofAuto().allocateFrom(ValueLayout.JAVA_LONG, sums), floats);
    for (int i = 0; i < sums.length; i++) {
      assertEquals(
          (float) (sums[i] * 0x1p-44), floats.getAtIndex(ValueLayout.JAVA_FLOAT, i), "at " + i);
    }
  }

  private record Sum(double loss, float[] gradients) {}

  /** Micro-batch b goes to rank b modulo size, so each size adds in another order. */
  private static List<Sum> sum(int size, Reduction reduction) throws Exception {
    return Ranks.run(
        size,
        ranks -> {
          try (GradientSum sum = GradientSum.of(reduction, SIZE, 0)) {
            MemorySegment gradients = floats(new float[SIZE]);
            for (int step = 0; step < 2; step++) {
              sum.start(MICRO_BATCHES);
              for (int b = ranks.rank(); b < MICRO_BATCHES; b += size) {
                sum.add(gradients(b), loss(b));
              }
              sum.reduce(ranks, gradients, LIMIT);
            }
            sum.start(MICRO_BATCHES);
            for (int b = ranks.rank(); b < MICRO_BATCHES; b += size) {
              sum.add(gradients(b), loss(b));
            }
            double loss = sum.reduce(ranks, gradients, LIMIT);
            return new Sum(loss, gradients.toArray(ValueLayout.JAVA_FLOAT));
          }
        });
  }

  private static void assertRefused(Reduction reduction, int position, float value, double loss)
      throws Exception {
    Ranks.run(
        2,
        ranks -> {
          try (GradientSum sum = GradientSum.of(reduction, SIZE, 0)) {
            MemorySegment gradients = gradients(ranks.rank());
            sum.start(2);
            if (ranks.rank() == 1) {
              gradients.setAtIndex(ValueLayout.JAVA_FLOAT, position, value);
            }
            sum.add(gradients, ranks.rank() == 1 ? loss : 0.5);
            assertThrows(
                NonFiniteGradientException.class, () -> sum.reduce(ranks, gradients, LIMIT));
            return null;
          }
        });
  }

  private static MemorySegment gradients(int microBatch) {
    Random random = new Random(microBatch);
    float[] values = new float[SIZE];
    for (int i = 0; i < SIZE; i++) {
      values[i] = (float) (random.nextGaussian() * magnitude(i));
    }
    return floats(values);
  }

  private static double magnitude(int i) {
    return Math.pow(10, i % 9 - 6);
  }

  private static double loss(int microBatch) {
    return 0.1 / (microBatch + 1);
  }

  private static MemorySegment floats(float... values) {
    return Arena.ofAuto().allocateFrom(ValueLayout.JAVA_FLOAT, values);
  }
}
