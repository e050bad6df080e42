package org.ftcluster.worker.inference;

import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.ftcluster.protocol.job.SampleSource;
import org.ftcluster.worker.data.ChatTemplate;
import org.ftcluster.worker.data.ChatText;
import org.ftcluster.worker.data.JsonlReader;
import org.ftcluster.worker.data.PromptTemplate;
import org.ftcluster.worker.data.Tokenizer;
import org.ftcluster.worker.jinja.Template.Span;

/** A sample as text: what a model is given, and what it should answer. */
public record Question(Prompt prompt, String expected) {
  /** Makes a line's question. */
  private interface Reading {
    Question of(JsonlReader.Line line);
  }

  /** The first {@code limit} of a data set; of a conversation, its last answer is asked for. */
  static List<Question> read(SampleSource source, int limit, Tokenizer tokenizer) {
    Reading reading = reading(source, tokenizer);
    List<Question> questions = new ArrayList<>();
    try (JsonlReader reader = JsonlReader.open(source.path())) {
      for (JsonlReader.Line line = reader.next();
          line != null && questions.size() < limit;
          line = reader.next()) {
        questions.add(reading.of(line));
      }
    }
    return questions;
  }

  private static Reading reading(SampleSource source, Tokenizer tokenizer) {
    if (source.isChats()) {
      ChatTemplate template =
          tokenizer.chatTemplate(source.chatTemplate(), source.chatTemplateKwargs());
      return line -> lastAnswer(template.text(line, source.messages()), tokenizer);
    }
    PromptTemplate prompt = PromptTemplate.of(Objects.requireNonNull(source.prompt()));
    PromptTemplate response = PromptTemplate.of(Objects.requireNonNull(source.response()));
    return line ->
        new Question(
            Prompt.of(prompt.fill(line, line.fields())), response.fill(line, line.fields()));
  }

  private static Question lastAnswer(ChatText chat, Tokenizer tokenizer) {
    Span last = chat.answers().getLast();
    String answer = chat.text().substring(last.from(), last.to());
    return new Question(
        new Prompt(chat.text().substring(0, last.from()), true),
        tokenizer.decode(tokenizer.encode(answer))); // without the token that ends it
  }
}
