package org.ftcluster.worker.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.List;
import java.util.function.IntUnaryOperator;
import java.util.stream.IntStream;
import org.ftcluster.worker.tensor.SplitMix64;
import org.junit.jupiter.api.Test;

class EpochPlanTest {
  /** The reference implementation's first numbers for the seed 1234567. */
  @Test
  void drawsTheNumbersOfSplitMix64() {
    SplitMix64 random = new SplitMix64(1234567);
    assertEquals(6457827717110365317L, random.next());
    assertEquals(3203168211198807973L, random.next());
    assertEquals(Long.parseUnsignedLong("9817491932198370423"), random.next());
  }

  /**
   * Changing this order would change every job's result, and what resumed jobs still have to do.
   */
  @Test
  void permutationsNeverChange() {
    assertArrayEquals(
        new int[] {8, 2, 11, 7, 6, 9, 1, 3, 5, 0, 10, 4}, EpochPlan.permutation(12, 42, 0));
    assertArrayEquals(
        new int[] {9, 3, 11, 0, 8, 10, 6, 4, 1, 7, 5, 2}, EpochPlan.permutation(12, 42, 1));
    assertArrayEquals(
        new int[] {0, 6, 4, 9, 2, 8, 3, 10, 11, 1, 5, 7}, EpochPlan.permutation(12, 43, 0));
  }

  @Test
  void everyPositionIsEquallyLikely() {
    int size = 5;
    int[][] counts = new int[size][size];
    int rounds = 20_000;
    for (int epoch = 0; epoch < rounds; epoch++) {
      int[] order = EpochPlan.permutation(size, 7, epoch);
      for (int place = 0; place < size; place++) {
        counts[order[place]][place]++;
      }
    }
    double expected = (double) rounds / size;
    for (int[] row : counts) {
      for (int count : row) {
        assertEquals(expected, count, 5 * Math.sqrt(expected));
      }
    }
  }

  @Test
  void packsEachSampleOnceAndWhole() {
    SplitMix64 random = new SplitMix64(1);
    for (int round = 0; round < 50; round++) {
      int size = 1 + random.below(400);
      int maxLength = 10 + random.below(200);
      int[] lengths = IntStream.range(0, size).map(i -> 2 + random.below(maxLength - 1)).toArray();

      EpochPlan plan = EpochPlan.packed(size, 42, round, id -> lengths[id], maxLength);

      assertArrayEquals(
          IntStream.range(0, size).toArray(), Arrays.stream(plan.samples()).sorted().toArray());
      for (int row = 0; row < plan.rows(); row++) {
        int[] samples = plan.samplesIn(row, row + 1);
        int tokens = Arrays.stream(samples).map(id -> lengths[id]).sum();
        assertTrue(tokens > 0 && tokens <= maxLength, "row of %d tokens".formatted(tokens));
      }
      assertArrayEquals(plan.samples(), plan.samplesIn(0, plan.rows()));
    }
  }

  @Test
  void packsTightly() {
    SplitMix64 random = new SplitMix64(2);
    int[] lengths = IntStream.range(0, 10_000).map(i -> 20 + random.below(180)).toArray();
    EpochPlan plan = EpochPlan.packed(lengths.length, 42, 0, id -> lengths[id], 512);
    int least = Math.ceilDiv(Arrays.stream(lengths).sum(), 512);
    assertTrue(plan.rows() < 1.02 * least, plan.rows() + " rows, at least " + least);
  }

  @Test
  void fillsTheOldestRowThatHasRoom() {
    int[] lengths = new int[8];
    int[] order = EpochPlan.permutation(8, 42, 0);
    int[] inOrder = {6, 5, 4, 5, 3, 1, 9, 10};
    for (int i = 0; i < 8; i++) {
      lengths[order[i]] = inOrder[i];
    }
    IntUnaryOperator length = id -> lengths[id];

    EpochPlan plan = EpochPlan.packed(8, 42, 0, length, 10);

    List<List<Integer>> rows =
        IntStream.range(0, plan.rows())
            .mapToObj(
                row -> Arrays.stream(plan.samplesIn(row, row + 1)).map(length).boxed().toList())
            .toList();
    assertEquals(
        List.of(List.of(6, 4), List.of(5, 5), List.of(3, 1), List.of(9), List.of(10)), rows);
  }

  @Test
  void epochsDiffer() {
    assertFalse(
        Arrays.equals(EpochPlan.permutation(100, 42, 0), EpochPlan.permutation(100, 42, 1)));
    assertFalse(
        Arrays.equals(EpochPlan.permutation(100, 42, 1), EpochPlan.permutation(100, 43, 0)));
  }
}
