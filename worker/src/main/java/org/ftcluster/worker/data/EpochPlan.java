package org.ftcluster.worker.data;

import java.util.Arrays;
import java.util.function.IntUnaryOperator;
import org.ftcluster.worker.tensor.SplitMix64;

/**
 * The order in which one epoch goes through the data: rows, each of one sample or, packed, of
 * several.
 *
 * @param samples every sample's id exactly once, row after row
 * @param rowEnds where each row ends in {@code samples}
 */
record EpochPlan(int[] samples, int[] rowEnds) {
  /** How many rows are filled at a time: more pack tighter, and take longer to search. */
  private static final int OPEN_ROWS = 64;

  /** One sample a row. */
  static EpochPlan unpacked(int size, long seed, long epoch) {
    int[] rowEnds = new int[size];
    Arrays.setAll(rowEnds, row -> row + 1);
    return new EpochPlan(permutation(size, seed, epoch), rowEnds);
  }

  /**
   * Rows of whole samples, at most {@code maxLength} tokens each, by first fit: samples come in the
   * epoch's order; each goes into the oldest open row that has room for it, or opens a new one;
   * when more than {@value #OPEN_ROWS} are open, the oldest is closed. Rows stand in the order in
   * which they were opened, samples in the order in which they came.
   *
   * @param length gives a sample's tokens, none more than {@code maxLength}
   */
  static EpochPlan packed(int size, long seed, long epoch, IntUnaryOperator length, int maxLength) {
    int[] order = permutation(size, seed, epoch);
    int shortest = Arrays.stream(order).map(length).min().orElse(0);
    int[] rowOf = new int[size];
    int[] open = new int[OPEN_ROWS + 1]; // row numbers, oldest first
    int[] room = new int[OPEN_ROWS + 1]; // tokens that still fit
    int opened = 0;
    int rows = 0;
    for (int i = 0; i < size; i++) {
      int tokens = length.applyAsInt(order[i]);
      int slot = 0;
      while (slot < opened && room[slot] < tokens) {
        slot++;
      }
      if (slot == opened) {
        open[opened] = rows++;
        room[opened++] = maxLength;
      }
      rowOf[i] = open[slot];
      room[slot] -= tokens;
      int closed = room[slot] < shortest ? slot : opened > OPEN_ROWS ? 0 : opened;
      if (closed < opened) {
        opened--;
        System.arraycopy(open, closed + 1, open, closed, opened - closed);
        System.arraycopy(room, closed + 1, room, closed, opened - closed);
      }
    }
    return byRow(order, rowOf, rows);
  }

  /** Sorts by row, and keeps the order inside rows. */
  private static EpochPlan byRow(int[] order, int[] rowOf, int rows) {
    int[] ends = new int[rows];
    for (int row : rowOf) {
      ends[row]++;
    }
    Arrays.parallelPrefix(ends, Integer::sum);
    int[] samples = new int[order.length];
    int[] next = ends.clone();
    for (int i = order.length - 1; i >= 0; i--) {
      samples[--next[rowOf[i]]] = order[i];
    }
    return new EpochPlan(samples, ends);
  }

  int rows() {
    return rowEnds.length;
  }

  /** Ids of the samples in rows {@code from} up to {@code to}. */
  int[] samplesIn(int from, int to) {
    return Arrays.copyOfRange(samples, from == 0 ? 0 : rowEnds[from - 1], rowEnds[to - 1]);
  }

  /**
   * A permutation of 0 up to {@code size}: Fisher and Yates's shuffle from the end, drawing from
   * {@link SplitMix64} seeded with (seed, epoch).
   */
  static int[] permutation(int size, long seed, long epoch) {
    SplitMix64 random = new SplitMix64(SplitMix64.seed(seed, epoch));
    int[] order = new int[size];
    Arrays.setAll(order, i -> i);
    for (int i = size - 1; i > 0; i--) {
      int j = random.below(i + 1);
      int swapped = order[i];
      order[i] = order[j];
      order[j] = swapped;
    }
    return order;
  }
}
