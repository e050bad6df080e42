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

  /** Behind what the model would be given, or else where the message's content begins. */
  private int begin(Conversation conversation, int index, String whole) {
    int asked = index == 0 ? -1 : promptEnd(conversation.first(index), whole);
    return asked >= 0 ? asked : contentBegin(conversation, index, whole);
  }

  /**
   * Behind the generation prompt. Where the text has only the beginning of that, as those of models
   * that are asked to think before they answer, behind the last line or token of it.
   */
  private int promptEnd(Conversation before, String whole) {
    String prompt;
    String history;
    try {
      prompt = template.render(before, true).text();
      history = template.render(before, false).text();
    } catch (TemplateException e) { // such as for a system message alone
      return -1;
    }
    if (whole.startsWith(prompt)) {
      return prompt.length();
    }
    if (!whole.startsWith(history) || !prompt.startsWith(history)) {
      return -1;
    }
    int at = mismatch(prompt, whole);
    while (at > history.length() && !endsPiece(prompt.substring(0, at))) {
      at--;
    }
    return at;
  }

  private boolean endsPiece(String text) {
    return text.endsWith("\n") || specialTokens.stream().anyMatch(text::endsWith);
  }

  private int contentBegin(Conversation conversation, int index, String whole) {
    return conversation
        .withContent(index, content -> MARK + content)
        .map(marked -> template.render(marked, false).text())
        .filter(marked -> marked.startsWith(MARK, mismatch(marked, whole)))
        .map(marked -> mismatch(marked, whole))
        .orElse(-1);
  }

  private int end(Conversation conversation, int index, String whole, int from) {
    Conversation through = conversation.first(index + 1);
    int content = markedEnd(conversation.withContent(index, text -> text + MARK), whole);
    if (content >= from && conversation.isText(index)) {
      return messageEnd(through, whole, content);
    }
    String text = template.render(through, false).text();
    if (whole.startsWith(text) && text.length() >= from) {
      String ended = text.stripTrailing();
      return ended.length() >= from && specialTokens.stream().anyMatch(ended::endsWith)
          ? ended.length()
          : tokenAt(whole, behindBlanks(whole, text.length())).orElse(text.length());
    }
    int call = markedEnd(conversation.withLastCall(index, name -> name + MARK), whole);
    if (call >= from) {
      return tokenBehind(whole, call);
    }
    return content < from ? -1 : messageEnd(through, whole, content);
  }

  /** Where a mark stands that what is rendered has and the text has not; -1 for nowhere. */
  private int markedEnd(Optional<Conversation> conversation, String whole) {
    if (conversation.isEmpty()) {
      return -1;
    }
    String marked = template.render(conversation.get(), false).text();
    int same = 0;
    while (same < Math.min(marked.length(), whole.length())
        && marked.charAt(marked.length() - 1 - same) == whole.charAt(whole.length() - 1 - same)) {
      same++;
    }
    return marked.substring(0, marked.length() - same).endsWith(MARK) ? whole.length() - same : -1;
  }

  /**
   * Behind the special token that follows a content, and those of its message right behind that;
   * without one, where the template ends the message.
   */
  private int messageEnd(Conversation through, String whole, int content) {
    String message = template.render(through, false).text();
    int last = whole.startsWith(message) && message.length() >= content ? message.length() : -1;
    Optional<Integer> token = tokenAt(whole, behindBlanks(whole, content));
    if (token.isEmpty()) {
      return Math.max(last, content);
    }
    int end = token.get();
    for (Optional<Integer> next = tokenAt(whole, end);
        next.isPresent() && next.get() <= last;
        next = tokenAt(whole, end)) {
      end = next.get();
    }
    return end;
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

  /** The end of the first special token from a place on; -1 where there is none. */
  private int tokenBehind(String whole, int place) {
    return specialTokens.stream()
        .map(special -> whole.indexOf(special, place))
        .filter(found -> found >= 0)
        .min(Comparator.naturalOrder())
        .flatMap(first -> tokenAt(whole, first))
        .orElse(-1);
  }

  private static int mismatch(String a, String b) {
    int at = 0;
    while (at < Math.min(a.length(), b.length()) && a.charAt(at) == b.charAt(at)) {
      at++;
    }
    return at;
  }
}
