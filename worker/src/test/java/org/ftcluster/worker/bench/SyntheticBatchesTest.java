package org.ftcluster.worker.bench;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.stream.IntStream;
import org.ftcluster.worker.model.MemoryEstimate.MicroBatchShape;
import org.ftcluster.worker.model.TokenBatch;
import org.junit.jupiter.api.Test;

class SyntheticBatchesTest {
  private static final int STEPS = 200;

  @Test
  void lengthsAreSpreadEvenlyFromTheShortestToTheLongest() {
    SyntheticBatches batches = new SyntheticBatches(4, 100, 199, 1);

    int[] lengths = lengths(batches);

    assertEquals(100, IntStream.of(lengths).min().orElseThrow());
    assertEquals(199, IntStream.of(lengths).max().orElseThrow());
    for (int tenth = 100; tenth < 200; tenth += 10) {
      int from = tenth;
      long count = IntStream.of(lengths).filter(x -> from <= x && x < from + 10).count();
      assertEquals(80, count, 3, "lengths from " + from);
    }
  }

  /** What peft_step.py makes of the same numbers. */
  @Test
  void lengthsArePythons() {
    SyntheticBatches batches = new SyntheticBatches(4, 64, 512, 1);

    assertArrayEquals(new int[] {64, 341, 169, 447}, batches.batch(0, 50).lengths());
  }

  @Test
  void theEndOfEachSequenceCarriesTheLoss() {
    TokenBatch batch = new SyntheticBatches(3, 10, 20, 0.5).batch(1, 50);

    int start = 0;
    for (int length : batch.lengths()) {
      int answer = start + length - length / 2;
      assertTrue(
          IntStream.range(start, answer).allMatch(i -> batch.targets()[i] == TokenBatch.NO_TARGET));
      assertTrue(
          IntStream.range(answer, start + length)
              .allMatch(i -> batch.targets()[i] != TokenBatch.NO_TARGET));
      start += length;
    }
  }

  @Test
  void withOneLengthAllBatchesAreTheSameInSize() {
    SyntheticBatches batches = new SyntheticBatches(4, 512, 512, 1);

    assertArrayEquals(new int[] {512, 512, 512, 512}, batches.batch(7, 50).lengths());
    assertEquals(MicroBatchShape.full(4, 512), batches.largest(STEPS));
  }

  @Test
  void theLargestHasRoomForEach() {
    SyntheticBatches batches = new SyntheticBatches(4, 3, 90, 0.3);

    MicroBatchShape largest = batches.largest(STEPS);

    int[] tokens = IntStream.range(0, STEPS).map(i -> batches.batch(i, 50).tokenCount()).toArray();
    int[] targets =
        IntStream.range(0, STEPS).map(i -> batches.batch(i, 50).targetCount()).toArray();
    assertEquals(
        new MicroBatchShape(
            4, IntStream.of(tokens).max().orElseThrow(), IntStream.of(targets).max().orElseThrow()),
        largest);
  }

  private static int[] lengths(SyntheticBatches batches) {
    return IntStream.range(0, STEPS)
        .mapToObj(i -> batches.batch(i, 50).lengths())
        .flatMapToInt(Arrays::stream)
        .toArray();
  }
}
