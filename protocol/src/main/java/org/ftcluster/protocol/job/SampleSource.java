package org.ftcluster.protocol.job;

import java.nio.file.Path;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * A JSONL file, of prompts and responses or of conversations; or of pairs of either, whose texts
 * are the same up to the answer.
 *
 * @param prompt a template whose {@code {field}} places are filled from each line; {@code null}
 *     with conversations
 * @param response the same; only what it makes, and its end token, train; {@code null} with pairs
 * @param chosen in place of the response the better one of a pair
 * @param rejected the worse one
 * @param messages the fields that have a line's conversation, one after the other, of which only
 *     the assistant's messages train; empty with prompts, and with pairs
 * @param chosenMessages in their place those of the conversation with the better answer
 * @param rejectedMessages with the worse one
 * @param chatTemplate a file with the Jinja template that makes text of conversations; {@code null}
 *     for the model's own
 * @param chatTemplateKwargs what the template is told besides: truths, whole numbers, numbers
 *     ({@link Double}) and texts, by name
 */
public record SampleSource(
    Path path,
    @Nullable String prompt,
    @Nullable String response,
    @Nullable String chosen,
    @Nullable String rejected,
    List<String> messages,
    List<String> chosenMessages,
    List<String> rejectedMessages,
    @Nullable Path chatTemplate,
    Map<String, Object> chatTemplateKwargs) {
  private static final List<String> NONE = List.of();

  public SampleSource {
    messages = List.copyOf(messages);
    chosenMessages = List.copyOf(chosenMessages);
    rejectedMessages = List.copyOf(rejectedMessages);
    chatTemplateKwargs = Collections.unmodifiableMap(new TreeMap<>(chatTemplateKwargs));
  }

  /** Prompts and responses. */
  public static SampleSource ofTexts(
      Path path, @Nullable String prompt, @Nullable String response) {
    return new SampleSource(path, prompt, response, null, null, NONE, NONE, NONE, null, Map.of());
  }

  /** Prompts, each with a better and a worse response. */
  public static SampleSource ofTextPairs(
      Path path, @Nullable String prompt, @Nullable String chosen, @Nullable String rejected) {
    return new SampleSource(path, prompt, null, chosen, rejected, NONE, NONE, NONE, null, Map.of());
  }

  /** Conversations. */
  public static SampleSource ofChats(
      Path path, List<String> messages, @Nullable Path template, Map<String, Object> kwargs) {
    return new SampleSource(path, null, null, null, null, messages, NONE, NONE, template, kwargs);
  }

  /** Conversations, each with a better and a worse answer. */
  public static SampleSource ofChatPairs(
      Path path,
      List<String> chosen,
      List<String> rejected,
      @Nullable Path template,
      Map<String, Object> kwargs) {
    return new SampleSource(path, null, null, null, null, NONE, chosen, rejected, template, kwargs);
  }

  public boolean isChats() {
    return !messages.isEmpty() || !chosenMessages.isEmpty();
  }

  public boolean isPairs() {
    return chosen != null || !chosenMessages.isEmpty();
  }

  /** Of pairs the better ones alone; of what has no pairs itself. */
  public SampleSource better() {
    return isPairs() ? answers(chosen, chosenMessages) : this;
  }

  /** Of pairs the worse ones alone. */
  public SampleSource worse() {
    return answers(rejected, rejectedMessages);
  }

  private SampleSource answers(@Nullable String text, List<String> chat) {
    return isChats()
        ? ofChats(path, chat, chatTemplate, chatTemplateKwargs)
        : ofTexts(path, prompt, text);
  }
}
