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
  private static final List<String> SPECIAL =
      List.of(
          "bos_token",
          "eos_token",
          "unk_token",
          "sep_token",
          "pad_token",
          "cls_token",
          "mask_token",
          "additional_special_tokens");

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
   * @param specialTokens texts that the tokenizer keeps apart from all others
   * @throws BadJobException when there is none, or it can't be read
   */
  static ChatTemplate read(Path modelFolder, @Nullable Path own, Set<String> specialTokens) {
    Path configFile = modelFolder.resolve("tokenizer_config.json");
    JsonNode config = JsonFiles.readIfThere(configFile);
    Map<String, @Nullable Object> values = new HashMap<>();
    addSpecial(JsonFiles.readIfThere(modelFolder.resolve("special_tokens_map.json")), values);
    addSpecial(config, values);
    values.put("documents", null);

    Path file = own != null ? own : modelFolder.resolve("chat_template.jinja");
    if (own != null || Files.exists(file)) {
      Template template = parsed(file, text(file));
      return new ChatTemplate(template, template, values, specialTokens);
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

  private static void addSpecial(JsonNode config, Map<String, @Nullable Object> values) {
    for (String name : SPECIAL) {
      JsonNode token = config.path(name);
      if (token.isTextual() || token.path("content").isTextual()) {
        values.put(name, token.isTextual() ? token.textValue() : token.get("content").textValue());
      } else if (token.isArray()) {
        values.put(
            name,
            token
                .valueStream()
                .map(one -> one.isTextual() ? one.textValue() : one.path("content").asText())
                .toList());
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
        whole.generated().isEmpty()
            ? new Answers(this, specialTokens).in(conversation, whole.text())
            : whole.generated());
  }

  /**
   * A line's conversation.
   *
   * @param field that has its messages
   * @throws BadJobException when it has none that the template takes, or none of the assistant
   */
  public ChatText text(JsonlReader.Line line, String field) {
    Conversation conversation = Conversation.of(line, field);
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
          "%s: there is no message of the assistant, so there is nothing to learn."
              .formatted(line.where()));
    }
    return chat;
  }

  Rendered render(Conversation conversation, boolean addGenerationPrompt) {
    Map<String, @Nullable Object> all = new HashMap<>(values);
    all.put("messages", conversation.messages());
    all.put("tools", conversation.tools());
    all.put("add_generation_prompt", addGenerationPrompt);
    return (conversation.tools() == null ? plain : withTools).render(all);
  }
}
