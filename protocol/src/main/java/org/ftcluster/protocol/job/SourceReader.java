package org.ftcluster.protocol.job;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * Reads what a job says of a file of samples: templates of texts, or the fields of conversations;
 * of one answer, or of a better and a worse one.
 */
final class SourceReader {
  private static final String PROMPT = "prompt";
  private static final String TEMPLATE = "chat_template";
  private static final String KWARGS = "chat_template_kwargs";

  /** What no job can say otherwise. */
  private static final Set<String> OURS_TO_TELL =
      Set.of("messages", "tools", "add_generation_prompt");

  private static final Form ANSWERS = new Form(List.of("response"), List.of("messages"));
  private static final Form PAIRS =
      new Form(List.of("chosen", "rejected"), List.of("chosen_messages", "rejected_messages"));

  private final Path folder;
  private final boolean pairs;

  /** The keys that name a sample's answers, as texts or as conversations. */
  private record Form(List<String> texts, List<String> chats) {
    Stream<String> keys() {
      return Stream.concat(texts.stream(), chats.stream());
    }
  }

  /**
   * @param folder what relative paths start from
   * @param pairs whether each sample has two answers
   */
  SourceReader(Path folder, boolean pairs) {
    this.folder = folder;
    this.pairs = pairs;
  }

  /**
   * Reads a section.
   *
   * @param fallback what says the rest of it; null for defaults
   */
  SampleSource read(Section source, @Nullable SampleSource fallback) {
    Path path = source.path("path", folder, "a JSONL file, one sample a line");
    refuseOtherForm(source);
    Form form = pairs ? PAIRS : ANSWERS;
    Optional<String> chat = form.chats().stream().filter(source::has).findFirst();
    boolean texts = source.has(PROMPT) || form.texts().stream().anyMatch(source::has);
    chat.filter(key -> texts)
        .ifPresent(
            key ->
                source.problem(
                    key,
                    "stands beside prompt or %s; leave one out"
                        .formatted(String.join(" or ", form.texts()))));
    if (chat.isPresent() || (!texts && fallback != null && fallback.isChats())) {
      return chats(source, path, fallback);
    }
    Stream.of(TEMPLATE, KWARGS)
        .filter(source::has)
        .forEach(
            key ->
                source.problem(
                    key,
                    "is for conversations; give %s, their field, too"
                        .formatted(String.join(" and ", form.chats()))));
    return texts(source, path, fallback);
  }

  private void refuseOtherForm(Section source) {
    Form other = pairs ? ANSWERS : PAIRS;
    String instead =
        pairs
            ? "is for samples of one answer, but preference asks for two; give chosen and rejected, or chosen_messages and rejected_messages"
            : "is for pairs of answers; give preference, such as {loss: dpo}, too";
    other.keys().filter(source::has).forEach(key -> source.problem(key, instead));
  }

  private SampleSource texts(Section source, Path path, @Nullable SampleSource fallback) {
    String prompt = text(source, PROMPT, "{prompt}", fallback, SampleSource::prompt);
    if (!pairs) {
      return SampleSource.ofTexts(
          path, prompt, text(source, "response", "{completion}", fallback, SampleSource::response));
    }
    return SampleSource.ofTextPairs(
        path,
        prompt,
        text(source, "chosen", "{chosen}", fallback, SampleSource::chosen),
        text(source, "rejected", "{rejected}", fallback, SampleSource::rejected));
  }

  private static String text(
      Section source,
      String key,
      String otherwise,
      @Nullable SampleSource fallback,
      Function<SampleSource, @Nullable String> part) {
    String before = fallback == null ? null : part.apply(fallback);
    return source.string(key, before == null ? otherwise : before);
  }

  private SampleSource chats(Section source, Path path, @Nullable SampleSource fallback) {
    Path template =
        source.path(TEMPLATE, folder).orElse(fallback == null ? null : fallback.chatTemplate());
    Map<String, Object> given = source.settings(KWARGS);
    given.keySet().stream()
        .filter(OURS_TO_TELL::contains)
        .forEach(
            name -> source.problem(KWARGS + "." + name, "is told to every template; leave it out"));
    Map<String, Object> kwargs =
        source.has(KWARGS) || fallback == null ? given : fallback.chatTemplateKwargs();
    if (!pairs) {
      return SampleSource.ofChats(
          path, fields(source, "messages", fallback, SampleSource::messages), template, kwargs);
    }
    return SampleSource.ofChatPairs(
        path,
        fields(source, "chosen_messages", fallback, SampleSource::chosenMessages),
        fields(source, "rejected_messages", fallback, SampleSource::rejectedMessages),
        template,
        kwargs);
  }

  private static List<String> fields(
      Section source,
      String key,
      @Nullable SampleSource fallback,
      Function<SampleSource, List<String>> part) {
    if (source.has(key)) {
      return source.fields(key, "the field that has a line's conversation");
    }
    List<String> before = fallback == null ? List.of() : part.apply(fallback);
    if (before.isEmpty()) {
      source.problem(key, "is missing; give the field that has a line's conversation");
    }
    return before;
  }
}
