package org.ftcluster.worker.data;

import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.protocol.job.JobSpec;

/** Lines to samples. Any thread may use one. */
sealed interface SampleEncoder permits ChatEncoder, PromptEncoder {
  /**
   * A sample.
   *
   * @param answers as in {@link Sample}; at least one that carries a loss
   * @param truncated whether it was cut
   */
  record Encoded(int[] tokens, int[] answers, boolean truncated) {}

  /**
   * One line's sample.
   *
   * @throws BadJobException when the line can't be used, or leaves nothing to learn
   */
  Encoded encode(JsonlReader.Line line);

  /** What a job says of its data. */
  static SampleEncoder of(JobSpec.Source source, Tokenizer tokenizer, int maxLength) {
    String messages = source.messages();
    return messages == null
        ? new PromptEncoder(tokenizer, source, maxLength)
        : new ChatEncoder(
            tokenizer,
            tokenizer.chatTemplate(source.chatTemplate(), source.chatTemplateKwargs()),
            messages,
            maxLength);
  }
}
