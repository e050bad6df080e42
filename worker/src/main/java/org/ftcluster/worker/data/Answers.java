package org.ftcluster.worker.data;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.ftcluster.worker.jinja.Template.Span;
import org.ftcluster.worker.jinja.TemplateException;

/**
 * Finds answers in the text of a template that doesn't mark them with {@code generation}, by what
 * the template writes of other conversations: of what was said before, for an answer's beginning;
 * of the same with a mark in the answer, for its end.
 */
final class Answers {
  /** A character of nobody's, which templates leave as it is. */
  private static final String MARK = "\ue000";

  private final ChatTemplate template;
  private final Set<String> specialTokens;

  Answers(ChatTemplate template, Set<String> specialTokens) {
    this.template = template;
    this.specialTokens = specialTokens;
  }

  /**
   * The answers in a conversation's text.
   *
   * @throws TemplateException when one can't be found
   */
  List<Span> in(Conversation conversation, String whole) {
    List<Span> answers = new ArrayList<>();
    for (int i = 0; i < conversation.messages().size(); i++) {
      if (conversation.isAnswer(i)) {
        int from = begin(conversation, i, whole);
        int to = from < 0 ? -1 : end(conversation, i, whole, from);
        if (to < 0) {
          throw new TemplateException(
              "it can't be told where message %d is in the text; give a chat_template with generation around answers"
                  .formatted(i + 1));
        }
        answers.add(new Span(from, to));
      }
    }
    return answers;
  }

  /** What a template writes; empty where it doesn't take the conversation. */
  private Optional<String> write(Conversation conversation, boolean addGenerationPrompt) {
    try {
      return Optional.of(template.render(conversation, addGenerationPrompt).text());
    } catch (TemplateException e) { // such as for a system message alone
      return Optional.empty();
    }
  }

  /**
   * Behind what the model would be given. Where what is before is written in another way once the
   * conversation goes on, behind the generation prompt between the content before and its own, or
   * at that.
   */
  private int begin(Conversation conversation, int index, String whole) {
    boolean first = index == 0; // which nothing is before: how others are asked for tells, too
    Conversation before = conversation.first(first ? 1 : index);
    Optional<String> prompt = write(before, true);
    Optional<String> history = write(before, false);
    if (!first && prompt.filter(whole::startsWith).isPresent()) {
      return prompt.get().length();
    }
    if (prompt.isEmpty() || history.isEmpty() || !prompt.get().startsWith(history.get())) {
      return contentBegin(conversation, index, whole);
    }
    String asking = prompt.get().substring(history.get().length());
    if (!first && whole.startsWith(history.get())) {
      String rest = whole.substring(history.get().length());
      return history.get().length() + pieces(asking, mismatch(asking, rest));
    }
    int content = contentBegin(conversation, index, whole);
    int previous = first ? 0 : contentEnd(conversation, index - 1, whole);
    for (int length = asking.length(); length > 0; length = pieces(asking, length - 1)) {
      int at = whole.lastIndexOf(asking.substring(0, length), content - length);
      if (previous >= 0 && at >= previous) {
        return at + length;
      }
    }
    return content;
  }

  /**
   * How much of a generation prompt counts where a text has only its beginning, as those of models
   * that are asked to think before they answer: up to the end of a line or a special token.
   */
  private int pieces(String asking, int most) {
    int length = most;
    while (length > 0 && !endsPiece(asking.substring(0, length))) {
      length--;
    }
    return length;
  }

  private boolean endsPiece(String text) {
    return text.endsWith("\n") || specialTokens.stream().anyMatch(text::endsWith);
  }

  /** Where a message's content begins; -1 where that isn't written. */
  private int contentBegin(Conversation conversation, int index, String whole) {
    return conversation
        .withContent(index, content -> MARK + content)
        .flatMap(marked -> write(marked, false))
        .filter(marked -> marked.startsWith(MARK, mismatch(marked, whole)))
        .map(marked -> mismatch(marked, whole))
        .orElse(-1);
  }

  /** Where a message's content ends; -1 where that isn't written. */
  private int contentEnd(Conversation conversation, int index, String whole) {
    return conversation
        .withContent(index, content -> content + MARK)
        .flatMap(marked -> write(marked, false))
        .map(
            marked -> {
              int same = sameAtEnd(marked, whole);
              boolean there = marked.startsWith(MARK, marked.length() - same - MARK.length());
              return there ? whole.length() - same : -1;
            })
        .orElse(-1);
  }

  private int end(Conversation conversation, int index, String whole, int from) {
    Conversation through = conversation.first(index + 1);
    int written = write(through, false).filter(whole::startsWith).map(String::length).orElse(-1);
    if (conversation.isText(index)) {
      int content = contentEnd(conversation, index, whole);
      if (content >= from) {
        return messageEnd(whole, content, written);
      }
    }
    if (written >= from) {
      String ended = whole.substring(from, written).stripTrailing();
      return specialTokens.stream().anyMatch(ended::endsWith)
          ? from + ended.length()
          : tokenAt(whole, behindBlanks(whole, written)).orElse(written);
    }
    return usualEnd(conversation, index, whole, from);
  }

  /**
   * Behind the special token that follows a content, and those of its message right behind that;
   * without one, where the template ends the message.
   *
   * @param written how far the text is that of the conversation up to this message; -1 if it isn't
   */
  private int messageEnd(String whole, int content, int written) {
    Optional<Integer> token = tokenAt(whole, behindBlanks(whole, content));
    if (token.isEmpty()) {
      return Math.max(written, content);
    }
    int end = token.get();
    for (Optional<Integer> next = tokenAt(whole, end);
        next.isPresent() && next.get() <= written;
        next = tokenAt(whole, end)) {
      end = next.get();
    }
    return end;
  }

  /**
   * Behind the token that ends a message of nothing but text in its place, of one that calls tools;
   * -1 where there is none before the next message's content.
   */
  private int usualEnd(Conversation conversation, int index, String whole, int from) {
    Conversation plain = conversation.first(index + 1).withText(index, "x");
    Optional<String> text = write(plain, false);
    if (text.isEmpty()) {
      return -1;
    }
    int content = contentEnd(plain, index, text.get());
    int tokenBegin = content < 0 ? -1 : behindBlanks(text.get(), content);
    Optional<Integer> tokenEnd = content < 0 ? Optional.empty() : tokenAt(text.get(), tokenBegin);
    if (tokenEnd.isEmpty()) {
      return -1;
    }
    String token = text.get().substring(tokenBegin, tokenEnd.get());
    boolean last = index == conversation.messages().size() - 1;
    int limit = last ? whole.length() : contentBegin(conversation, index + 1, whole);
    int at = whole.indexOf(token, from);
    return at < 0 || at >= limit ? -1 : at + token.length();
  }

  /** The end of the special token that stands at a place. */
  private Optional<Integer> tokenAt(String whole, int place) {
    return specialTokens.stream()
        .filter(special -> whole.startsWith(special, place))
        .map(special -> place + special.length())
        .max(Comparator.naturalOrder());
  }

  private static int behindBlanks(String whole, int place) {
    int at = place;
    while (at < whole.length() && Character.isWhitespace(whole.charAt(at))) {
      at++;
    }
    return at;
  }

  private static int mismatch(String a, String b) {
    int at = 0;
    while (at < Math.min(a.length(), b.length()) && a.charAt(at) == b.charAt(at)) {
      at++;
    }
    return at;
  }

  private static int sameAtEnd(String a, String b) {
    int same = 0;
    while (same < Math.min(a.length(), b.length())
        && a.charAt(a.length() - 1 - same) == b.charAt(b.length() - 1 - same)) {
      same++;
    }
    return same;
  }
}
