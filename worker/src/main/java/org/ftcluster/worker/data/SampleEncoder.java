package org.ftcluster.worker.data;

import java.util.List;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.protocol.job.SampleSource;

/** Lines to samples. Any thread may use one. */
sealed interface SampleEncoder permits ChatEncoder, PromptEncoder, PairEncoder {
  /**
   * A sequence.
   *
   * @param answers as in {@link Sequence}; at least one that carries a loss
   * @param truncated whether it was cut
   * @param lacksAnswers whether one of its answers would have begun beyond
   */
  record Encoded(int[] tokens, int[] answers, boolean truncated, boolean lacksAnswers) {}

  /**
   * One line's sample: a sequence, or of a pair that with the better answer, then that with the
   * worse one.
   *
   * @throws BadJobException when the line can't be used, or leaves nothing to learn
   */
  List<Encoded> encode(JsonlReader.Line line);

  /** What a job says of its data. */
  static SampleEncoder of(SampleSource source, Tokenizer tokenizer, int maxLength) {
    if (source.isPairs()) {
      return new PairEncoder(
          of(source.better(), tokenizer, maxLength), of(source.worse(), tokenizer, maxLength));
    }
    return source.isChats()
        ? new ChatEncoder(
            tokenizer,
            tokenizer.chatTemplate(source.chatTemplate(), source.chatTemplateKwargs()),
            source.messages(),
            maxLength)
        : new PromptEncoder(tokenizer, source, maxLength);
  }
}
