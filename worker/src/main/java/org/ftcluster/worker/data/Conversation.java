package org.ftcluster.worker.data;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
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

  /** What roles are called in the form of ShareGPT, {@code {from: ..., value: ...}}. */
  private static final Map<String, String> SHARE_GPT =
      Map.of("human", "user", "gpt", ASSISTANT, "observation", "tool");

  /** One question. */
  public static Conversation asking(@Nullable String system, String question) {
    List<Map<String, @Nullable Object>> messages = new ArrayList<>();
    if (system != null) {
      messages.add(Map.of(ROLE, "system", "content", system));
    }
    messages.add(Map.of(ROLE, "user", "content", question));
    return new Conversation(messages, null);
  }

  /**
   * A line's conversation.
   *
   * @param field of the line that has its messages; its tools are in {@code tools}
   * @throws BadJobException when it is none
   */
  public static Conversation of(JsonlReader.Line line, String field) {
    JsonNode fields = line.fields();
    JsonNode given = fields.path(field);
    if (!given.isArray() || given.isEmpty()) {
      throw new BadJobException(
          "%s: %s must be a list of messages such as {\"role\": \"user\", \"content\": ...}; it is %s."
              .formatted(
                  line.where(),
                  field,
                  given.isMissingNode() ? "missing" : given.isArray() ? "empty" : "none"));
    }
    List<Map<String, @Nullable Object>> messages = new ArrayList<>();
    for (JsonNode message : given) {
      messages.add(message(line, messages.size() + 1, message));
    }
    JsonNode tools = fields.path("tools");
    return new Conversation(messages, tools.isEmpty() ? null : JsonValues.of(tools));
  }

  private static Map<String, @Nullable Object> message(
      JsonlReader.Line line, int number, JsonNode given) {
    Map<String, @Nullable Object> message = new LinkedHashMap<>();
    given
        .properties()
        .forEach(field -> message.put(field.getKey(), JsonValues.of(field.getValue())));
    if (message.get("from") instanceof String from && message.containsKey("value")) {
      message.put(ROLE, SHARE_GPT.getOrDefault(from, from));
      message.put("content", message.remove("value"));
      message.remove("from");
    }
    if (!(message.get(ROLE) instanceof String)) {
      throw new BadJobException(
          "%s: message %d has no role, such as user or assistant.".formatted(line.where(), number));
    }
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
}
