package org.ftcluster.worker.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.protocol.job.SampleSource;
import org.ftcluster.worker.data.SampleEncoder.Encoded;
import org.ftcluster.worker.jinja.TemplateException;
import org.ftcluster.worker.model.TokenBatch;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/** Conversations against what Transformers makes of them. */
class ChatTest {
  private static final JsonMapper JSON = new JsonMapper();

  /** Roles and contents, and a token at each end. */
  private static final String PLAIN =
      "{% for m in messages %}{{ '<s>' + m.role + ':' + m.content + '</s>' }}{% endfor %}"
          + "{% if add_generation_prompt %}{{ '<s>assistant:' }}{% endif %}";

  private static final String TWO_ANSWERS =
      """
      {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, \
      {"role": "user", "content": "c"}, {"role": "assistant", "content": "d"}]}""";

  @TempDir Path model;

  @BeforeEach
  void copyTokenizer() throws IOException {
    Files.copy(SampleJob.FOLDER.resolve("base/tokenizer.json"), model.resolve("tokenizer.json"));
    config(Map.of("bos_token", "<s>", "eos_token", "</s>", "chat_template", PLAIN));
  }

  private void config(Map<String, ?> config) throws IOException {
    JSON.writeValue(model.resolve("tokenizer_config.json").toFile(), config);
  }

  private Tokenizer tokenizer() {
    return Tokenizer.open(model, SampleJob.EMBEDDINGS);
  }

  private Encoded encode(String line, int maxLength) {
    try (Tokenizer tokenizer = tokenizer()) {
      return new ChatEncoder(
              tokenizer, tokenizer.chatTemplate(null, Map.of()), List.of("messages"), maxLength)
          .encode(new JsonlReader.Line(Path.of("chats.jsonl"), 3, line))
          .getFirst();
    }
  }

  /** Gives the model this template; the line that has the conversation. */
  private String given(String template, JsonNode golden) throws IOException {
    config(Map.of("bos_token", "<s>", "eos_token", "</s>", "chat_template", template));
    return JSON.writeValueAsString(Map.of("messages", golden.get("messages")));
  }

  static Stream<Arguments> golden() throws IOException {
    List<Arguments> cases = new ArrayList<>();
    for (JsonNode golden : JSON.readTree(Path.of("src/test/resources/chat/chats.json").toFile())) {
      String template = golden.get("template").asText();
      String unmarked =
          template.replace(" generation ", " if true ").replace("endgeneration", "endif");
      assertFalse(unmarked.contains("generation %"), unmarked);
      cases.add(Arguments.of(golden.get("name").asText(), template, golden));
      cases.add(Arguments.of(golden.get("name").asText() + ", unmarked", unmarked, golden));
    }
    return cases.stream();
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("golden")
  void tokensAndAnswersAreThoseOfTransformers(String name, String template, JsonNode golden)
      throws IOException {
    String line = given(template, golden);
    if (golden.has("error")) {
      assertThrows(BadJobException.class, () -> encode(line, 512));
      return;
    }
    Encoded encoded = encode(line, 512);

    assertArrayEquals(JSON.convertValue(golden.get("tokens"), int[].class), encoded.tokens());
    int[] mask = new int[encoded.tokens().length];
    for (int i = 0; i < encoded.answers().length; i += 2) {
      Arrays.fill(mask, encoded.answers()[i], encoded.answers()[i + 1], 1);
    }
    assertArrayEquals(JSON.convertValue(golden.get("mask"), int[].class), mask);
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("golden")
  void aModelIsAskedAsByTransformers(String name, String template, JsonNode golden)
      throws IOException {
    String line = given(template, golden);
    Conversation conversation =
        Conversation.of(new JsonlReader.Line(Path.of("chats.jsonl"), 1, line), List.of("messages"));

    try (Tokenizer tokenizer = tokenizer()) {
      Conversation before = conversation.first(conversation.messages().size() - 1);
      ChatTemplate chatTemplate = tokenizer.chatTemplate(null, Map.of());
      if (golden.has("error")) {
        assertThrows(TemplateException.class, () -> chatTemplate.prompt(before));
      } else {
        assertEquals(golden.get("prompt").asText(), chatTemplate.prompt(before));
      }
    }
  }

  @Test
  void everyAnswerTrains() throws IOException {
    Path file = Files.writeString(model.resolve("chats.jsonl"), TWO_ANSWERS + "\n");
    try (Tokenizer tokenizer = tokenizer()) {
      Dataset data =
          Dataset.load(
              SampleSource.ofChats(file, List.of("messages"), null, Map.of()), tokenizer, 64, 1);

      TokenBatch batch = data.batch(new int[] {0});
      List<String> learned = new ArrayList<>();
      for (int i = 0; i < batch.targets().length; i++) {
        if (batch.targets()[i] != TokenBatch.NO_TARGET) {
          assertEquals(batch.tokens()[i + 1], batch.targets()[i]);
          learned.add(tokenizer.decode(new int[] {batch.targets()[i]}));
        }
      }
      assertEquals(List.of("b", "", "d", ""), learned, "the empty ones are </s>");
      assertEquals(4, data.targetCount(0));
      assertEquals(data.sequence(0).targetCount(), data.targetCount(0));
    }
  }

  @Test
  void conversationsLikeShareGptsAreTheSame() {
    Encoded other =
        encode(
            """
            {"messages": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}, \
            {"from": "human", "value": "c"}, {"from": "gpt", "value": "d"}]}""",
            64);
    assertArrayEquals(encode(TWO_ANSWERS, 64).tokens(), other.tokens());
    assertArrayEquals(encode(TWO_ANSWERS, 64).answers(), other.answers());
  }

  @Test
  void whatIsBeyondTheLengthIsCut() {
    Encoded whole = encode(TWO_ANSWERS, 64);
    int secondAnswer = whole.answers()[2];

    Encoded cut = encode(TWO_ANSWERS, secondAnswer + 1);
    assertTrue(cut.truncated());
    assertEquals(secondAnswer + 1, cut.tokens().length);
    assertArrayEquals(
        new int[] {whole.answers()[0], whole.answers()[1], secondAnswer, secondAnswer + 1},
        cut.answers());

    Encoded first = encode(TWO_ANSWERS, secondAnswer);
    assertArrayEquals(new int[] {whole.answers()[0], whole.answers()[1]}, first.answers());
  }

  @Test
  void toolsHaveATemplateOfTheirOwnWhereThereIsOne() throws IOException {
    config(
        Map.of(
            "chat_template",
            List.of(
                Map.of("name", "default", "template", PLAIN),
                Map.of("name", "tool_use", "template", "{{ tools[0].name }} " + PLAIN))));
    String tools = TWO_ANSWERS.replaceFirst("\\{", "{\"tools\": [{\"name\": \"f\"}], ");
    try (Tokenizer tokenizer = tokenizer()) {
      assertEquals(
          "f <s>user:a</s><s>assistant:b</s><s>user:c</s><s>assistant:d</s>",
          text(tokenizer.chatTemplate(null, Map.of()), tools));
      String written = tools.replace("[{\"name\": \"f\"}]", "\"[{\\\"name\\\": \\\"f\\\"}]\"");
      assertEquals(
          text(tokenizer.chatTemplate(null, Map.of()), tools),
          text(tokenizer.chatTemplate(null, Map.of()), written));
      assertEquals(
          "<s>user:a</s><s>assistant:b</s><s>user:c</s><s>assistant:d</s>",
          text(tokenizer.chatTemplate(null, Map.of()), TWO_ANSWERS));
    }
  }

  @Test
  void aTemplatesOwnFileComesFirst() throws IOException {
    try (Tokenizer tokenizer = tokenizer()) {
      String own = "1{% generation %}{{ eos_token }}{% endgeneration %}";
      Files.writeString(model.resolve("chat_template.jinja"), own);
      assertEquals("1</s>", text(tokenizer.chatTemplate(null, Map.of()), TWO_ANSWERS));

      Path given = Files.writeString(model.resolve("given.jinja"), own.replace('1', '2'));
      assertEquals("2</s>", text(tokenizer.chatTemplate(given, Map.of()), TWO_ANSWERS));
    }
  }

  @Test
  void aTemplateIsToldWhatTheJobSays() throws IOException {
    String thinking =
        "{% generation %}{{ eos_token if enable_thinking is defined and enable_thinking is false"
            + " else level + 1 }}{% endgeneration %}";
    Files.writeString(model.resolve("chat_template.jinja"), thinking);
    try (Tokenizer tokenizer = tokenizer()) {
      assertEquals(
          "</s>",
          text(tokenizer.chatTemplate(null, Map.of("enable_thinking", false)), TWO_ANSWERS));
      assertEquals("4", text(tokenizer.chatTemplate(null, Map.of("level", 3L)), TWO_ANSWERS));
    }
  }

  private static String text(ChatTemplate template, String line) {
    return template
        .text(new JsonlReader.Line(Path.of("chats.jsonl"), 1, line), List.of("messages"))
        .text();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '\0',
      textBlock =
          """
          {}                 | messages must be a list of messages such as {"role": "user", "content": ...}; it is missing.
          {"messages": []}   | messages must be a list of messages such as {"role": "user", "content": ...}; it is empty.
          {"messages": "a"}  | messages must be a list of messages such as {"role": "user", "content": ...}; it is none.
          {"messages": [{"role": "user"}], "tools": {}}  | tools must be a list of functions, or the text of one.
          {"messages": [{"role": "user"}], "tools": "f"} | this line is not valid JSON.
          {"messages": [{"from": "function_call", "value": "f"}]} | message 1 is from function_call; known are human, gpt, system and observation: give others a role and a content.
          {"messages": ["a"]} | message 1 has no role, such as user or assistant.
          {"messages": [{"role": "user", "content": "a"}]} | there is no answer of the assistant, so there is nothing to learn.
          {"messages": [{"role": "assistant"}]} | the chat template doesn't take this conversation: line 1: '<s>assistant:' + 'content', which is undefined, isn't possible.
          {"messages": [{"role": "user", "content": "a a a a a a a a"}, {"role": "assistant", "content": "b"}]} | no answer begins within the first 8 tokens, which is max_length.
          """)
  void namesTheLineThatCannotBeUsed(String line, String sentence) {
    BadJobException thrown = assertThrows(BadJobException.class, () -> encode(line, 8));
    assertEquals("chats.jsonl:3: " + sentence, thrown.getMessage());
  }

  @Test
  void anAnswerThatCannotBeFoundIsAnError() throws IOException {
    config(
        Map.of(
            "chat_template",
            "{{ messages | length }}{% for m in messages %}{{ m.role }}{% endfor %}"));
    BadJobException thrown = assertThrows(BadJobException.class, () -> encode(TWO_ANSWERS, 64));
    assertEquals(
        "chats.jsonl:3: the chat template doesn't take this conversation: it can't be told where"
            + " message 2 is in the text; give a chat_template with generation around answers.",
        thrown.getMessage());
  }

  @Test
  void aModelWithoutATemplateNeedsOne() throws IOException {
    config(Map.of());
    BadJobException thrown = assertThrows(BadJobException.class, () -> encode(TWO_ANSWERS, 64));
    assertEquals(
        model.resolve("tokenizer_config.json")
            + ": the model has no chat_template, here or in chat_template.jinja; give one, as"
            + " chat_template in the job or --chat-template.",
        thrown.getMessage());
  }

  @Test
  void aTemplateThatIsNotThereIsNamed() {
    Path nowhere = model.resolve("nowhere.jinja");
    try (Tokenizer tokenizer = tokenizer()) {
      BadJobException thrown =
          assertThrows(BadJobException.class, () -> tokenizer.chatTemplate(nowhere, Map.of()));
      assertEquals(nowhere + ": there is no such file.", thrown.getMessage());
    }
  }

  @Test
  void aTemplateThatCannotBeReadIsNamed() throws IOException {
    Path file = Files.writeString(model.resolve("chat_template.jinja"), "a\n{% unless x %}");
    BadJobException thrown = assertThrows(BadJobException.class, () -> encode(TWO_ANSWERS, 64));
    assertEquals(
        file + ": its chat template can't be used: line 2: there is no tag 'unless'.",
        thrown.getMessage());
  }
}
