package org.ftcluster.worker.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;

import org.junit.jupiter.api.Test;

/** What padding does to a batch. */
class TokenBatchTest {
  private static final int NONE = TokenBatch.NO_TARGET;

  private final TokenBatch batch =
      new TokenBatch(
          new int[] {5, 6, 7, 8, 9}, new int[] {NONE, 7, NONE, 9, NONE}, new int[] {3, 2});

  @Test
  void paddingIsASequenceOfItsOwnWithoutLoss() {
    TokenBatch padded = batch.padded(4);
    assertArrayEquals(new int[] {5, 6, 7, 8, 9, 0, 0, 0}, padded.tokens());
    assertArrayEquals(new int[] {NONE, 7, NONE, 9, NONE, NONE, NONE, NONE}, padded.targets());
    assertArrayEquals(new int[] {3, 2, 3}, padded.lengths());
    assertEquals(batch.targetCount(), padded.targetCount());
  }

  @Test
  void aFullBatchStaysAsItIs() {
    assertSame(batch, batch.padded(5));
  }

  @Test
  void lossRowsComeFirstThenFillers() {
    assertArrayEquals(new int[] {1, 3}, batch.lossRows(1));
    assertArrayEquals(new int[] {1, 3, 0, 2}, batch.lossRows(4));
  }

  @Test
  void lossRowsAreNoMoreThanTheBatchHas() {
    assertArrayEquals(new int[] {1, 3, 0, 2, 4}, batch.lossRows(8));
  }

  @Test
  void aBatchWithoutTargetsHasNoLossRows() {
    TokenBatch prompt = new TokenBatch(new int[] {5, 6}, new int[] {NONE, NONE}, new int[] {2});
    assertEquals(0, prompt.lossRows(4).length);
  }
}
