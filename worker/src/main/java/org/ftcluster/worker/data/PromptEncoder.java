package org.ftcluster.worker.data;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.protocol.job.SampleSource;

/**
 * Lines with a prompt and a response to samples. Prompt and response are tokenised apart, then
 * joined, so that the prompt's tokens are the same in training and in generation.
 */
final class PromptEncoder implements SampleEncoder {
  private final Tokenizer tokenizer;
  private final PromptTemplate prompt;
  private final PromptTemplate response;
  private final int maxLength;

  /**
   * @param maxLength tokens a sample may have: a response that is longer is cut there, and a prompt
   *     that leaves it no room is an error
   */
  PromptEncoder(Tokenizer tokenizer, SampleSource source, int maxLength) {
    this.tokenizer = tokenizer;
    this.prompt = PromptTemplate.of(Objects.requireNonNull(source.prompt()));
    this.response = PromptTemplate.of(Objects.requireNonNull(source.response()));
    this.maxLength = maxLength;
  }

  @Override
  public List<Encoded> encode(JsonlReader.Line line) {
    JsonNode fields = line.fields();
    int[] before = tokenizer.encodePrompt(prompt.fill(line, fields));
    int[] after = tokenizer.encode(response.fill(line, fields));
    if (before.length >= maxLength) {
      throw new BadJobException(
          "%s: the prompt alone takes %d tokens, which leaves no room for a response in max_length, %d."
              .formatted(line.where(), before.length, maxLength));
    }
    int end = tokenizer.eos().isPresent() ? 1 : 0;
    int whole = before.length + after.length + end;
    int[] tokens = Arrays.copyOf(before, whole);
    System.arraycopy(after, 0, tokens, before.length, after.length);
    tokenizer.eos().ifPresent(eos -> tokens[whole - 1] = eos);
    if (whole <= Math.max(1, before.length)) {
      throw new BadJobException(
          "%s: the response is empty, so there is nothing to learn.".formatted(line.where()));
    }
    int length = Math.min(whole, maxLength);
    int[] answer = {before.length, length};
    return List.of(new Encoded(Arrays.copyOf(tokens, length), answer, whole > maxLength, false));
  }
}
