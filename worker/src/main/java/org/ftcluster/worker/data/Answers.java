package org.ftcluster.worker.data;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.ftcluster.worker.jinja.Template.Span;
import org.ftcluster.worker.jinja.TemplateException;

/**
 * Finds answers in the text of a template that doesn't mark them with {@code generation}. An answer
 * begins where the model would be asked for it, behind what the messages before it and the
 * generation prompt are written as. It ends with the token that ends its message.
 */
final class Answers {
  private final ChatTemplate template;
  private final Set<String> specialTokens;

  Answers(ChatTemplate template, Set<String> specialTokens) {
    this.template = template;
    this.specialTokens = specialTokens;
  }

  /**
   * The answers in a conversation's text.
   *
   * @throws TemplateException when one can't be found, since the template writes messages in
   *     another way once others follow
   */
  List<Span> in(Conversation conversation, String whole) {
    List<Span> answers = new ArrayList<>();
    for (int i = 0; i < conversation.messages().size(); i++) {
      if (!conversation.isAnswer(i)) {
        continue;
      }
      int from = begin(conversation.first(i), whole);
      int to = from < 0 ? -1 : end(conversation.first(i + 1), whole, from);
      if (to < 0) {
        throw new TemplateException(
            "it can't be told where message %d is in the text; give a chat_template with generation around answers"
                .formatted(i + 1));
      }
      answers.add(new Span(from, to));
    }
    return answers;
  }

  /**
   * Behind the generation prompt; where the text has only the beginning of that, as those of models
   * that are asked to think before they answer, behind what it has.
   */
  private int begin(Conversation before, String whole) {
    String prompt = template.render(before, true).text();
    if (whole.startsWith(prompt)) {
      return prompt.length();
    }
    String history = template.render(before, false).text();
    return whole.startsWith(history) && prompt.startsWith(history) ? mismatch(prompt, whole) : -1;
  }

  private static int mismatch(String a, String b) {
    int at = 0;
    while (at < Math.min(a.length(), b.length()) && a.charAt(at) == b.charAt(at)) {
      at++;
    }
    return at;
  }

  /**
   * Behind the message's last token where what follows doesn't change how it is written, else
   * behind the first token that no text has.
   */
  private int end(Conversation through, String whole, int from) {
    String text = template.render(through, false).text();
    if (whole.startsWith(text) && text.length() >= from) {
      String ended = text.stripTrailing();
      boolean byToken = ended.length() >= from && specialTokens.stream().anyMatch(ended::endsWith);
      return byToken ? ended.length() : text.length();
    }
    return specialTokens.stream()
        .filter(token -> whole.indexOf(token, from) >= 0)
        .mapToInt(token -> whole.indexOf(token, from) + token.length())
        .min()
        .orElse(-1);
  }
}
