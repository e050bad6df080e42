package org.ftcluster.worker.bench;

import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.ftcluster.worker.model.MemoryEstimate.MicroBatchShape;
import org.ftcluster.worker.model.TokenBatch;

/**
 * Batches of random tokens, whose sequences differ in length as samples do.
 *
 * @param sequences a batch
 * @param shortest tokens of the shortest sequence there can be
 * @param longest tokens of the longest
 * @param answer share of each sequence's tokens, the last ones, that carries a loss, as what
 *     follows a prompt does
 */
public record SyntheticBatches(int sequences, int shortest, int longest, double answer) {
  /**
   * Multiples of it, less their whole part, are spread evenly over 0 to 1, few or many of them;
   * {@code peft_step.py} has the same, and so the same lengths.
   */
  private static final double GOLDEN_RATIO = (Math.sqrt(5) - 1) / 2;

  TokenBatch batch(int step, int vocabulary) {
    int[] lengths = lengths(step);
    int tokens = IntStream.of(lengths).sum();
    SplittableRandom random = new SplittableRandom(step);
    int[] targets = random.ints(tokens, 0, vocabulary).toArray();
    int start = 0;
    for (int length : lengths) {
      Arrays.fill(targets, start, start + length - answered(length), TokenBatch.NO_TARGET);
      start += length;
    }
    return new TokenBatch(random.ints(tokens, 0, vocabulary).toArray(), targets, lengths);
  }

  /** As many sequences, tokens and targets as any of the first {@code steps} batches has. */
  MicroBatchShape largest(int steps) {
    return IntStream.range(0, steps)
        .mapToObj(this::shape)
        .reduce(MicroBatchShape::or)
        .orElseThrow();
  }

  private MicroBatchShape shape(int step) {
    int[] lengths = lengths(step);
    return new MicroBatchShape(
        sequences, IntStream.of(lengths).sum(), IntStream.of(lengths).map(this::answered).sum());
  }

  private int[] lengths(int step) {
    return IntStream.range(step * sequences, (step + 1) * sequences).map(this::length).toArray();
  }

  private int length(int index) {
    double share = index * GOLDEN_RATIO % 1;
    return shortest + (int) (share * (longest - shortest + 1));
  }

  private int answered(int length) {
    return Math.max(1, (int) (answer * length));
  }
}
