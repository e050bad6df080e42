package org.ftcluster.worker.data;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.worker.jinja.Template;
import org.ftcluster.worker.jinja.Template.Rendered;
import org.ftcluster.worker.jinja.TemplateException;
import org.jspecify.annotations.Nullable;

/**
 * A model's way to write conversations, in Jinja. It is told of no clock: samples are the same on
 * every day and every node, so a template that writes the date writes the one that it has for
 * programs without. Immutable; any thread may use it.
 */
public final class ChatTemplate {
  private static final String FILE = "chat_template.jinja";
  private static final String TOOL_USE_FILE = "additional_chat_templates/tool_use.jinja";
  private static final String TOKENS_FILE = "special_tokens_map.json";

  /** What decides how conversations are written, besides {@code tokenizer_config.json}. */
  public static final List<String> FILES = List.of(FILE, TOOL_USE_FILE, TOKENS_FILE);

  private final Template plain;
  private final Template withTools;
  private final Map<String, @Nullable Object> values;
  private final Set<String> specialTokens;

  private ChatTemplate(
      Template plain,
      Template withTools,
      Map<String, @Nullable Object> values,
      Set<String> specialTokens) {
    this.plain = plain;
    this.withTools = withTools;
    this.values = values;
    this.specialTokens = specialTokens;
  }

  /**
   * Reads a template: the one given, or else the model's {@code chat_template.jinja}, or that in
   * its {@code tokenizer_config.json}.
   *
   * @param own null for the model's
   * @param kwargs what it is told besides
   * @param specialTokens texts that the tokenizer keeps apart from all others
   * @throws BadJobException when there is none, or it can't be read
   */
  static ChatTemplate read(
      Path modelFolder, @Nullable Path own, Map<String, Object> kwargs, Set<String> specialTokens) {
    Path configFile = modelFolder.resolve("tokenizer_config.json");
    JsonNode config = JsonFiles.readIfThere(configFile);
    Map<String, @Nullable Object> values = values(modelFolder, config);
    values.putAll(kwargs);
    Path file = own != null ? own : modelFolder.resolve(FILE);
    if (own != null || Files.exists(file)) {
      Template template = parsed(file, text(file));
      Path toolUse = modelFolder.resolve(TOOL_USE_FILE);
      boolean another = own == null && Files.exists(toolUse);
      return new ChatTemplate(
          template, another ? parsed(toolUse, text(toolUse)) : template, values, specialTokens);
    }
    JsonNode written = config.path("chat_template");
    String plain = named(written, "default");
    if (plain == null) {
      throw new BadJobException(
          "%s: the model has no chat_template, here or in chat_template.jinja; give one, as chat_template in the job or --chat-template."
              .formatted(configFile));
    }
    String withTools = named(written, "tool_use");
    Template template = parsed(configFile, plain);
    return new ChatTemplate(
        template,
        withTools == null ? template : parsed(configFile, withTools),
        values,
        specialTokens);
  }

  /** Tokens that have a name, and what Transformers tells every template. */
  private static Map<String, @Nullable Object> values(Path modelFolder, JsonNode config) {
    Map<String, @Nullable Object> values = new HashMap<>();
    values.put("documents", null);
    addTokens(config, values);
    config
        .path("extra_special_tokens")
        .properties()
        .forEach(token -> values.put(token.getKey(), SpecialTokens.text(token.getValue())));
    if (!config.has("added_tokens_decoder")) { // of models from before that was written
      addTokens(JsonFiles.readIfThere(modelFolder.resolve(TOKENS_FILE)), values);
    }
    return values;
  }

  private static void addTokens(JsonNode config, Map<String, @Nullable Object> values) {
    for (Map.Entry<String, JsonNode> field : config.properties()) {
      String token = SpecialTokens.text(field.getValue());
      if (field.getKey().endsWith("_token") && !token.isEmpty()) {
        values.put(field.getKey(), token);
      }
    }
  }

  /** One text, or of several the one with a name; null where there is none. */
  private static @Nullable String named(JsonNode written, String name) {
    if (written.isTextual()) {
      return written.textValue();
    }
    return written
        .valueStream()
        .filter(one -> one.path("name").asText().equals(name))
        .map(one -> one.path("template").asText())
        .findFirst()
        .orElse(null);
  }

  private static String text(Path file) {
    try {
      return Files.readString(file);
    } catch (NoSuchFileException e) {
      throw new BadJobException("%s: there is no such file.".formatted(file), e);
    } catch (IOException e) {
      throw new BadJobException("%s: this can't be read: %s.".formatted(file, e.getMessage()), e);
    }
  }

  private static Template parsed(Path file, String template) {
    try {
      return Template.parse(template);
    } catch (TemplateException e) {
      throw new BadJobException(
          "%s: its chat template can't be used: %s.".formatted(file, e.getMessage()), e);
    }
  }

  /**
   * What a model goes on from to answer.
   *
   * @throws TemplateException when the template doesn't take the conversation
   */
  public String prompt(Conversation conversation) {
    return render(conversation, true).text();
  }

  /**
   * A whole conversation, and its answers in it.
   *
   * @throws TemplateException when the template doesn't take it, or answers can't be told apart
   */
  ChatText text(Conversation conversation) {
    Rendered whole = render(conversation, false);
    return new ChatText(
        whole.text(),
        template(conversation).marksGenerated()
            ? whole.generated()
            : new Answers(this, specialTokens).in(conversation, whole.text()));
  }

  /**
   * A line's conversation.
   *
   * @param fields that have its messages, one after the other
   * @throws BadJobException when it has none that the template takes, or none of the assistant
   */
  public ChatText text(JsonlReader.Line line, List<String> fields) {
    Conversation conversation = Conversation.of(line, fields);
    ChatText chat;
    try {
      chat = text(conversation);
    } catch (TemplateException e) {
      throw new BadJobException(
          "%s: the chat template doesn't take this conversation: %s."
              .formatted(line.where(), e.getMessage()),
          e);
    }
    if (chat.answers().isEmpty()) {
      throw new BadJobException(
          "%s: there is no answer of the assistant, so there is nothing to learn."
              .formatted(line.where()));
    }
    return chat;
  }

  Rendered render(Conversation conversation, boolean addGenerationPrompt) {
    Map<String, @Nullable Object> all = new HashMap<>(values);
    all.put("messages", conversation.messages());
    all.put("tools", conversation.tools());
    all.put("add_generation_prompt", addGenerationPrompt);
    return template(conversation).render(all);
  }

  private Template template(Conversation conversation) {
    return conversation.tools() == null ? plain : withTools;
  }
}
