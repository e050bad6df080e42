package org.ftcluster.worker.optimizer;

import static org.ftcluster.worker.collective.Ranks.LIMIT;
import static org.ftcluster.worker.optimizer.Floats.floats;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import org.ftcluster.protocol.job.JobSpec.Reduction;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.collective.Ranks;
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
                  if (early) {
                    sum.addEarly(ranks, gradients, 0, false); // another one follows
                  }
                  sum.add(gradients, 0.5);
                  fill(gradients, 10 + ranks.rank(), 0);
                  // Rank 2 never says so, and the others don't do it at the same places.
                  for (int layer = 3; early && ranks.rank() < 2 && layer >= 1; layer--) {
                    int from = layer * (300_000 + 1000 * ranks.rank());
                    MemorySegment yet = floats(new float[size]);
                    fill(yet, 10 + ranks.rank(), from);
                    sum.addEarly(ranks, yet, from, true);
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
              sum.addEarly(ranks, floats(new float[size]), 10, true);
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

  private record Sum(double loss, float[] gradients) {}

  /**
   * The third step's. Micro-batch b goes to rank b modulo size, so each size adds in another order.
   */
  private static List<Sum> sum(int size, Reduction reduction) throws Exception {
    return Ranks.run(
        size,
        ranks -> {
          try (GradientSum sum = GradientSum.of(reduction, SIZE, 0)) {
            MemorySegment gradients = floats(new float[SIZE]);
            double loss = 0;
            for (int step = 0; step < 3; step++) {
              sum.start(MICRO_BATCHES);
              for (int b = ranks.rank(); b < MICRO_BATCHES; b += size) {
                sum.add(gradients(b), loss(b));
              }
              loss = sum.reduce(ranks, gradients, LIMIT);
            }
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
}
