package org.ftcluster.worker.data;

import java.util.Arrays;
import java.util.List;
import org.ftcluster.protocol.job.BadJobException;

/**
 * Lines with two answers to pairs of sequences. Where both conversations have answers before the
 * one that they differ in, only that and what follows it is compared.
 */
record PairEncoder(SampleEncoder better, SampleEncoder worse) implements SampleEncoder {
  @Override
  public List<Encoded> encode(JsonlReader.Line line) {
    Encoded first = better.encode(line).getFirst();
    Encoded second = worse.encode(line).getFirst();
    if (first.lacksAnswers() || second.lacksAnswers()) {
      int maxLength = Math.max(first.tokens().length, second.tokens().length);
      throw new BadJobException(
          "%s: the last answer of one of its conversations doesn't begin within the first %d tokens, which is max_length."
              .formatted(line.where(), maxLength));
    }
    int shared = shared(first, second);
    return List.of(without(first, shared), without(second, shared));
  }

  /** Numbers that stand for answers which both have, but for either's last one. */
  private static int shared(Encoded first, Encoded second) {
    int same = Arrays.mismatch(first.tokens(), second.tokens());
    int end = same < 0 ? first.tokens().length : same;
    int most = Math.min(first.answers().length, second.answers().length) - 2;
    int shared = 0;
    while (shared < most
        && first.answers()[shared] == second.answers()[shared]
        && first.answers()[shared + 1] == second.answers()[shared + 1]
        && first.answers()[shared + 1] <= end) {
      shared += 2;
    }
    return shared;
  }

  private static Encoded without(Encoded sequence, int shared) {
    int[] answers = sequence.answers();
    return new Encoded(
        sequence.tokens(),
        Arrays.copyOfRange(answers, shared, answers.length),
        sequence.truncated(),
        false);
  }
}
