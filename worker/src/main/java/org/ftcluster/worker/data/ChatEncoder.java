package org.ftcluster.worker.data;

import java.util.Arrays;
import java.util.List;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.worker.jinja.Template.Span;

/**
 * Lines with conversations to samples: the whole text is tokenised at once, as Transformers does.
 */
final class ChatEncoder implements SampleEncoder {
  private final Tokenizer tokenizer;
  private final ChatTemplate template;
  private final List<String> fields;
  private final int maxLength;

  /**
   * @param fields of a line that have its messages, one after the other
   * @param maxLength tokens a sample may have: what is longer is cut there
   */
  ChatEncoder(Tokenizer tokenizer, ChatTemplate template, List<String> fields, int maxLength) {
    this.tokenizer = tokenizer;
    this.template = template;
    this.fields = fields;
    this.maxLength = maxLength;
  }

  @Override
  public List<Encoded> encode(JsonlReader.Line line) {
    ChatText chat = template.text(line, fields);
    Tokenizer.Encoding encoding = tokenizer.encodeWithPlaces(chat.text());
    int length = Math.min(encoding.tokens().length, maxLength);
    int[] answers = answers(line, chat.answers(), encoding, length);
    boolean truncated = encoding.tokens().length > maxLength;
    return List.of(
        new Encoded(
            truncated ? Arrays.copyOf(encoding.tokens(), maxLength) : encoding.tokens(),
            answers,
            truncated,
            truncated && chat.answers().getLast().from() >= encoding.to()[maxLength - 1]));
  }

  /**
   * Ranges of tokens, of all that have something of an answer. (Of a character that is several
   * tokens, Transformers' mask has the first only.)
   */
  private int[] answers(
      JsonlReader.Line line, List<Span> spans, Tokenizer.Encoding encoding, int length) {
    int[] answers = new int[2 * spans.size()];
    int count = 0;
    int token = 0;
    for (Span span : spans) {
      while (token < encoding.tokens().length && encoding.to()[token] <= span.from()) {
        token++;
      }
      int from = token;
      while (token < encoding.tokens().length && encoding.from()[token] < span.to()) {
        token++;
      }
      if (Math.max(1, from) < Math.min(token, length)) {
        answers[count++] = from;
        answers[count++] = Math.min(token, length);
      }
    }
    if (count == 0) {
      throw new BadJobException(
          encoding.tokens().length > length
              ? "%s: no answer begins within the first %d tokens, which is max_length."
                  .formatted(line.where(), maxLength)
              : "%s: its answers are empty, so there is nothing to learn.".formatted(line.where()));
    }
    return Arrays.copyOf(answers, count);
  }
}
