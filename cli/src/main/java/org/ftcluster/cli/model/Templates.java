package org.ftcluster.cli.model;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import org.ftcluster.cli.console.CommandException;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.job.SampleSource;
import org.jspecify.annotations.Nullable;

/**
 * How samples are made from the lines of a data set: by templates of prompt and response, or of the
 * conversations in a field. Of pairs that is the better answer.
 */
record Templates(
    @Nullable String prompt,
    @Nullable String response,
    List<String> messages,
    @Nullable Path chatTemplate,
    Map<String, Object> chatTemplateKwargs) {
  private static final Templates DEFAULT =
      new Templates("{prompt}", "{completion}", List.of(), null, Map.of());

  /** Those of a job; without one, the defaults of the job file. */
  static Templates of(Optional<JobSpec> job) {
    return job.map(JobSpec::data)
        .map(JobSpec.Data::train)
        .map(SampleSource::better)
        .map(
            train ->
                new Templates(
                    train.prompt(),
                    train.response(),
                    train.messages(),
                    train.chatTemplate(),
                    train.chatTemplateKwargs()))
        .orElse(DEFAULT);
  }

  /** Replaces what is given. */
  Templates with(
      @Nullable String newPrompt,
      @Nullable String newResponse,
      @Nullable String newMessages,
      ChatOptions chat) {
    boolean texts = newPrompt != null || newResponse != null;
    if (texts && newMessages != null) {
      throw CommandException.badRequest(
          "--messages stands beside --prompt or --response; leave one out");
    }
    if (!texts && (newMessages != null || !messages.isEmpty())) {
      return new Templates(
          null,
          null,
          newMessages == null ? messages : List.of(newMessages),
          chatTemplate(chat),
          chatTemplateKwargs(chat));
    }
    if (chat.given() != null) {
      throw CommandException.badRequest(
          "%s is for conversations; give --messages, their field, too".formatted(chat.given()));
    }
    return new Templates(
        newPrompt != null ? newPrompt : Objects.requireNonNullElse(prompt, DEFAULT.prompt),
        newResponse != null ? newResponse : Objects.requireNonNullElse(response, DEFAULT.response),
        List.of(),
        null,
        Map.of());
  }

  /** The one given, else the job's; null for the model's own. */
  @Nullable Path chatTemplate(ChatOptions chat) {
    Path given = chat.template();
    return given == null ? chatTemplate : given.toAbsolutePath().normalize();
  }

  /** Those given, else the job's. */
  Map<String, Object> chatTemplateKwargs(ChatOptions chat) {
    Map<String, Object> given = chat.kwargs();
    return given == null ? chatTemplateKwargs : given;
  }

  SampleSource source(Path data) {
    Path path = data.toAbsolutePath().normalize();
    return messages.isEmpty()
        ? SampleSource.ofTexts(path, prompt, response)
        : SampleSource.ofChats(path, messages, chatTemplate, chatTemplateKwargs);
  }
}
