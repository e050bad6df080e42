package org.ftcluster.worker.model;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Sequences laid end to end, without padding: what goes through a model at once. Attention and
 * positions stay inside each sequence.
 *
 * @param tokens token ids, T of them
 * @param targets for each token the id that should follow it, or {@link #NO_TARGET} where that
 *     carries no loss; T of them
 * @param lengths tokens of each sequence; they sum to T
 * @param pairs what is made of the sequences' losses where two each are a better and a worse
 *     answer, in this order; null where all tokens' losses count alike
 */
public record TokenBatch(int[] tokens, int[] targets, int[] lengths, @Nullable Pairs pairs) {
  /** Marks a position that carries no loss. */
  public static final int NO_TARGET = -100;

  /**
   * How pairs are compared.
   *
   * @param referenceNats what the sequences' losses are without an adapter; empty where that isn't
   *     needed
   */
  public record Pairs(PairLoss loss, double[] referenceNats) {}

  /** Whose tokens' losses count alike. */
  public TokenBatch(int[] tokens, int[] targets, int[] lengths) {
    this(tokens, targets, lengths, null);
  }

  public TokenBatch {
    int total = 0;
    for (int length : lengths) {
      if (length <= 0) {
        throw new IllegalArgumentException("a sequence of " + length + " tokens");
      }
      total += length;
    }
    if (tokens.length != total || targets.length != total) {
      throw new IllegalArgumentException(
          "lengths sum to %d, but there are %d tokens and %d targets"
              .formatted(total, tokens.length, targets.length));
    }
  }

  /** T, over all sequences. */
  public int tokenCount() {
    return tokens.length;
  }

  /** Positions that carry a loss. */
  public int targetCount() {
    return targetCount(0, targets.length);
  }

  private int targetCount(int from, int to) {
    int count = 0;
    for (int i = from; i < to; i++) {
      if (targets[i] != NO_TARGET) {
        count++;
      }
    }
    return count;
  }

  /** The same, its sequences compared two by two. */
  public TokenBatch withPairs(Pairs ofSequences) {
    int references = ofSequences.referenceNats().length;
    if (references != (ofSequences.loss().needsReference() ? lengths.length : 0)) {
      throw new IllegalArgumentException(
          "%d sequences and the base's losses of %d".formatted(lengths.length, references));
    }
    return new TokenBatch(tokens, targets, lengths, ofSequences);
  }

  /**
   * What its pairs come to.
   *
   * @param nats the losses of its sequences
   */
  public List<PairLoss.Result> pairResults(double[] nats) {
    if (pairs == null) {
      throw new IllegalStateException("a batch without pairs");
    }
    List<PairLoss.Answer> answers = new ArrayList<>();
    int begin = 0;
    for (int i = 0; i < lengths.length; i++) {
      int count = targetCount(begin, begin + lengths[i]);
      // Of padding, too, there is none.
      double reference = i < pairs.referenceNats().length ? pairs.referenceNats()[i] : 0;
      answers.add(new PairLoss.Answer(nats[i], count, reference));
      begin += lengths[i];
    }
    List<PairLoss.Result> results = new ArrayList<>();
    for (int i = 0; i + 1 < answers.size(); i += 2) {
      results.add(pairs.loss().of(answers.get(i), answers.get(i + 1)));
    }
    return results;
  }

  /**
   * The same sequences and, where T is no multiple of {@code multiple}, one more that fills it up
   * and carries no loss. Products compile code for each size they meet, which takes longer than
   * many a product: batches of few sizes are faster.
   */
  TokenBatch padded(int multiple) {
    int total = Math.ceilDiv(tokens.length, multiple) * multiple;
    if (total == tokens.length) {
      return this;
    }
    int[] moreTargets = Arrays.copyOf(targets, total);
    Arrays.fill(moreTargets, tokens.length, total, NO_TARGET);
    int[] moreLengths = Arrays.copyOf(lengths, lengths.length + 1);
    moreLengths[lengths.length] = total - tokens.length;
    return new TokenBatch(Arrays.copyOf(tokens, total), moreTargets, moreLengths, pairs);
  }

  /**
   * Rows that carry a loss, then rows that don't until there are a multiple of {@code multiple}, as
   * far as the batch has them; none where nothing carries a loss.
   */
  int[] lossRows(int multiple) {
    int count = targetCount();
    int[] rows = new int[Math.min(Math.ceilDiv(count, multiple) * multiple, tokens.length)];
    int next = 0;
    int filler = count;
    for (int i = 0; i < targets.length; i++) {
      if (targets[i] != NO_TARGET) {
        rows[next++] = i;
      } else if (filler < rows.length) {
        rows[filler++] = i;
      }
    }
    return rows;
  }
}
