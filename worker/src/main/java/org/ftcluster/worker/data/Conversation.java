package org.ftcluster.worker.data;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.function.UnaryOperator;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.worker.jinja.JsonValues;
import org.jspecify.annotations.Nullable;

/**
 * Messages in turn, and the tools that the assistant may call.
 *
 * @param messages what a chat template takes: each has a {@code role}, and mostly a {@code content}
 * @param tools null where there are none
 */
public record Conversation(List<Map<String, @Nullable Object>> messages, @Nullable Object tools) {
  private static final String ROLE = "role";
  private static final String ASSISTANT = "assistant";
  private static final String CONTENT = "content";
  private static final String CALLS = "tool_calls";

  /** What models' thoughts are called; Transformers tells templates of them by the first two. */
  private static final List<String> REASONING =
      List.of("reasoning_content", "thinking", "reasoning");

  /** What roles are called in the form of ShareGPT, {@code {from: ..., value: ...}}. */
  private static final Map<String, String> SHARE_GPT =
      Map.of(
          "human",
          "user",
          "user",
          "user",
          "gpt",
          ASSISTANT,
          "chatgpt",
          ASSISTANT,
          ASSISTANT,
          ASSISTANT,
          "system",
          "system",
          "observation",
          "tool",
          "tool",
          "tool");

  /** One question. */
  public static Conversation asking(@Nullable String system, String question) {
    List<Map<String, @Nullable Object>> messages = new ArrayList<>();
    if (system != null) {
      messages.add(message("system", system));
    }
    messages.add(message("user", question));
    return new Conversation(messages, null);
  }

  private static Map<String, @Nullable Object> message(@Nullable String role, String content) {
    Map<String, @Nullable Object> message = new LinkedHashMap<>();
    message.put(ROLE, role);
    message.put(CONTENT, content);
    return message;
  }

  /**
   * A line's conversation.
   *
   * @param named fields of the line that have its messages, one after the other; its tools are in
   *     {@code tools}
   * @throws BadJobException when it is none
   */
  public static Conversation of(JsonlReader.Line line, List<String> named) {
    JsonNode fields = line.fields();
    List<Map<String, @Nullable Object>> messages = new ArrayList<>();
    for (String field : named) {
      JsonNode given = fields.path(field);
      if (!given.isArray() || given.isEmpty()) {
        throw new BadJobException(
            "%s: %s must be a list of messages such as {\"role\": \"user\", \"content\": ...}; it is %s."
                .formatted(
                    line.where(),
                    field,
                    given.isMissingNode() ? "missing" : given.isArray() ? "empty" : "none"));
      }
      for (JsonNode message : given) {
        messages.add(message(line, messages.size() + 1, message));
      }
    }
    return new Conversation(messages, tools(line, fields.path("tools")));
  }

  /** A list, or the text of one: tables, which many data sets come from, have no other lists. */
  private static @Nullable Object tools(JsonlReader.Line line, JsonNode given) {
    JsonNode tools = given.isTextual() ? line.parsed(given.textValue()) : given;
    if (tools.isMissingNode() || tools.isNull()) {
      return null;
    }
    if (!tools.isArray()) {
      throw new BadJobException(
          "%s: tools must be a list of functions, or the text of one.".formatted(line.where()));
    }
    return JsonValues.of(tools);
  }

  private static Map<String, @Nullable Object> message(
      JsonlReader.Line line, int number, JsonNode given) {
    Map<String, @Nullable Object> message = new LinkedHashMap<>();
    for (Map.Entry<String, JsonNode> field : given.properties()) {
      if (!field.getValue().isNull()) { // as Transformers does, since tables have all columns
        message.put(field.getKey(), JsonValues.of(field.getValue()));
      }
    }
    if (message.get("from") instanceof String from && message.containsKey("value")) {
      String role = SHARE_GPT.get(from);
      if (role == null) {
        throw new BadJobException(
            "%s: message %d is from %s; known are human, gpt, system and observation: give others a role and a content."
                .formatted(line.where(), number, from));
      }
      message.put(ROLE, role);
      message.put(CONTENT, message.remove("value"));
      message.remove("from");
    }
    if (!(message.get(ROLE) instanceof String)) {
      throw new BadJobException(
          "%s: message %d has no role, such as user or assistant.".formatted(line.where(), number));
    }
    REASONING.stream()
        .map(message::get)
        .filter(Objects::nonNull)
        .findFirst()
        .ifPresent(
            thoughts -> {
              message.putIfAbsent("thinking", thoughts);
              message.put("reasoning_content", thoughts);
            });
    return message;
  }

  /** Its first messages. */
  Conversation first(int count) {
    return new Conversation(messages.subList(0, count), tools);
  }

  /** Whether a message is what the model is to learn. */
  boolean isAnswer(int index) {
    return ASSISTANT.equals(messages.get(index).get(ROLE));
  }

  /** Whether a message is text and nothing else. */
  boolean isText(int index) {
    Map<String, @Nullable Object> message = messages.get(index);
    return message.get(CONTENT) instanceof String
        && !(message.get(CALLS) instanceof List<?> calls && !calls.isEmpty());
  }

  /**
   * The same with another content of a message.
   *
   * @return empty where that is no text
   */
  Optional<Conversation> withContent(int index, UnaryOperator<String> change) {
    Map<String, @Nullable Object> message = new LinkedHashMap<>(messages.get(index));
    if (!(message.getOrDefault(CONTENT, "") instanceof String content)) {
      return Optional.empty();
    }
    message.put(CONTENT, change.apply(content));
    return Optional.of(with(index, message));
  }

  /** The same with a message that is text and nothing else. */
  Conversation withText(int index, String content) {
    return with(index, message((String) messages.get(index).get(ROLE), content));
  }

  private Conversation with(int index, Map<String, @Nullable Object> message) {
    List<Map<String, @Nullable Object>> changed = new ArrayList<>(messages);
    changed.set(index, message);
    return new Conversation(changed, tools);
  }
}
