package org.ftcluster.worker.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.protocol.job.SampleSource;
import org.ftcluster.worker.model.TokenBatch;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Samples of two answers to one prompt. */
class PairsTest {
  private static final int NONE = TokenBatch.NO_TARGET;
  private static final String CHATML =
      "{% for m in messages %}{{ '<s>' + m.role + ':' + m.content + '</s>' }}{% endfor %}"
          + "{% if add_generation_prompt %}{{ '<s>assistant:' }}{% endif %}";

  @TempDir Path folder;
  private Tokenizer tokenizer;

  @BeforeEach
  void open() {
    tokenizer = SampleJob.tokenizer();
  }

  @AfterEach
  void close() {
    tokenizer.close();
  }

  @Test
  void aSampleIsTheBetterAnswersSequenceAndThenTheWorseOnes() throws IOException {
    Dataset data =
        texts(
            8,
            """
            {"prompt": "ret", "chosen": "a", "rejected": "b"}
            {"prompt": "", "chosen": "b", "rejected": "a"}
            """);
    int ret = token("ret");
    int a = token("a");
    int b = token("b");

    assertEquals(2, data.size());
    assertEquals(2, data.sequences());
    assertEquals(8, data.length(0));
    assertEquals(4, data.targetCount(0));
    TokenBatch batch = data.batch(new int[] {1, 0});
    assertArrayEquals(new int[] {1, b, 2, 1, a, 2, 1, ret, a, 2, 1, ret, b, 2}, batch.tokens());
    assertArrayEquals(
        new int[] {b, 2, NONE, a, 2, NONE, NONE, a, 2, NONE, NONE, b, 2, NONE}, batch.targets());
    assertArrayEquals(new int[] {3, 3, 4, 4}, batch.lengths());
  }

  @Test
  void samplesBeyondTheFirstChunkAreFoundToo() throws IOException {
    StringBuilder lines = new StringBuilder();
    for (int i = 0; i < 2500; i++) {
      lines.append(
          "{\"prompt\": \"\", \"chosen\": \"a\", \"rejected\": \"%s\"}\n"
              .formatted("b".repeat(1 + i % 3)));
    }
    Dataset data = texts(64, lines.toString());

    assertEquals(2500, data.size());
    int[] worse = tokenizer.encode("bb");
    assertEquals(3 + 2 + worse.length, data.length(2047 / 3 * 3 + 1));
    assertArrayEquals(new int[] {1, token("a"), 2}, data.sequence(2 * 2300).tokens());
    assertEquals(worse[0], data.sequence(2 * (2299 / 3 * 3 + 1) + 1).tokens()[1]);
  }

  @Test
  void ofConversationsTheAnswerThatDiffersIsCompared() throws IOException {
    String before = "{\"role\": \"user\", \"content\": \"%s\"}";
    String answer = "{\"role\": \"assistant\", \"content\": \"%s\"}";
    String shared =
        before.formatted("a") + "," + answer.formatted("b") + "," + before.formatted("c");
    String line =
        "{\"so_far\": [%s], \"good\": [%s], \"bad\": [%s]}"
            .formatted(shared, answer.formatted("a"), answer.formatted("c"));

    Dataset data = chats(line, 64);

    Sequence better = data.sequence(0);
    Sequence worse = data.sequence(1);
    assertEquals(2, better.answers().length, "the answer that both have isn't learned");
    assertArrayEquals(better.answers(), worse.answers());
    assertEquals(token("a"), better.tokens()[better.answers()[0]]);
    assertEquals(token("c"), worse.tokens()[worse.answers()[0]]);
  }

  @Test
  void anAnswerThatBeginsBeyondTheLengthIsRefused() throws IOException {
    String user = "{\"role\": \"user\", \"content\": \"a\"}";
    String answer = "{\"role\": \"assistant\", \"content\": \"b\"}";
    String line =
        "{\"so_far\": [%s, %s, %s], \"good\": [%s], \"bad\": [%s]}"
            .formatted(user, answer, user, answer, answer.replace('b', 'c'));
    int whole = chats(line, 64).sequence(0).tokens().length;

    assertEquals(whole - 1, chats(line, whole - 1).sequence(0).tokens().length, "its end is cut");
    BadJobException thrown = assertThrows(BadJobException.class, () -> chats(line, whole - 2));
    assertEquals(
        folder.resolve("pairs.jsonl")
            + ":1: the last answer of one of its conversations doesn't begin within the first %d tokens, which is max_length."
                .formatted(whole - 2),
        thrown.getMessage());
  }

  @Test
  void aPairThatIsTwiceTheSameKeepsItsAnswers() throws IOException {
    Dataset data = texts(8, "{\"prompt\": \"ret\", \"chosen\": \"a\", \"rejected\": \"a\"}\n");

    assertArrayEquals(data.sequence(0).tokens(), data.sequence(1).tokens());
    assertEquals(2, data.sequence(1).targetCount());
  }

  private int token(String text) {
    return tokenizer.encode(text)[0];
  }

  private Dataset texts(int maxLength, String lines) throws IOException {
    Path file = Files.writeString(folder.resolve("pairs.jsonl"), lines);
    return Dataset.load(
        SampleSource.ofTextPairs(file, "{prompt}", "{chosen}", "{rejected}"),
        tokenizer,
        maxLength,
        2);
  }

  private Dataset chats(String line, int maxLength) throws IOException {
    Path file = Files.writeString(folder.resolve("pairs.jsonl"), line);
    Path template = Files.writeString(folder.resolve("chat.jinja"), CHATML);
    return Dataset.load(
        SampleSource.ofChatPairs(
            file, List.of("so_far", "good"), List.of("so_far", "bad"), template, Map.of()),
        tokenizer,
        maxLength,
        1);
  }
}
