package org.ftcluster.worker.data;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HexFormat;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.job.SampleSource;
import org.ftcluster.worker.model.TokenBatch;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class DatasetTest {
  private static final int NONE = TokenBatch.NO_TARGET;
  private static Tokenizer tokenizer;

  @TempDir Path folder;

  @BeforeAll
  static void open() {
    tokenizer = SampleJob.tokenizer();
  }

  @AfterAll
  static void close() {
    tokenizer.close();
  }

  /** Numbers and hashes come from the Python tokenizers library on the same files. */
  @Test
  void tokenisesTheSampleJobAsTransformersDoes() throws NoSuchAlgorithmException {
    JobSpec.Data data = SampleJob.spec().data();

    Dataset train = Dataset.load(data.train(), tokenizer, data.maxLength(), 2);
    assertEquals(4000, train.size());
    assertEquals("d2129f574317cb559ddaf91ce6aed37f084dd1ba61381f1dc82ee745834da246", sha256(train));

    Dataset eval = Dataset.load(data.eval(), tokenizer, data.maxLength(), 1);
    assertEquals(300, eval.size());
    assertEquals("ec4ff83120d2af008a78a60b66c6b567662eb5cf535e9dc4cf196a3960920f65", sha256(eval));
    EvalBatches batches = new EvalBatches(eval, Integer.MAX_VALUE);
    assertEquals(1, batches.size());
    assertEquals(28621, batches.batch(0).tokenCount());
    assertEquals(11641, batches.batch(0).targetCount());
    assertEquals(11641, batches.targetTokens());
  }

  @Test
  void isTheSameHoweverManyThreadsReadIt() throws NoSuchAlgorithmException {
    JobSpec.Data data = SampleJob.spec().data();
    assertEquals(
        sha256(Dataset.load(data.train(), tokenizer, 512, 1)),
        sha256(Dataset.load(data.train(), tokenizer, 512, 4)));
  }

  @Test
  void trainsOnTheResponseAndItsEndOnly() throws IOException {
    Dataset data = load(512, "{\"in\": \"ret\", \"out\": \"a\"}", "{\"in\": \"\", \"out\": \"b\"}");
    int ret = tokenizer.encode("ret")[0];
    int a = tokenizer.encode("a")[0];
    int b = tokenizer.encode("b")[0];

    Sequence sample = data.sequence(0);
    assertArrayEquals(new int[] {1, ret, a, 2}, sample.tokens());
    assertArrayEquals(new int[] {2, 4}, sample.answers());
    assertEquals(2, sample.targetCount());
    assertEquals(4, data.length(0));
    assertEquals(2, data.targetCount(0));

    TokenBatch batch = data.batch(new int[] {0, 1});
    assertArrayEquals(new int[] {1, ret, a, 2, 1, b, 2}, batch.tokens());
    assertArrayEquals(new int[] {NONE, a, 2, NONE, b, 2, NONE}, batch.targets());
    assertArrayEquals(new int[] {4, 3}, batch.lengths());
  }

  @Test
  void passesOverEmptyLines() throws IOException {
    Dataset data =
        load(512, "", "{\"in\": \"x\", \"out\": \"a\"}", " ", "{\"in\": \"y\", \"out\": \"b\"}");
    assertEquals(2, data.size());
    assertEquals(tokenizer.encode("y")[0], data.sequence(1).tokens()[1]);
  }

  @Test
  void cutsResponsesThatAreTooLong() throws IOException {
    Dataset data = load(4, "{\"in\": \"ret\", \"out\": \"ret ret ret ret\"}");
    int[] response = tokenizer.encode("ret ret ret ret");
    int ret = tokenizer.encode("ret")[0];
    assertArrayEquals(new int[] {1, ret, response[0], response[1]}, data.sequence(0).tokens());
    assertEquals(2, data.targetCount(0));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '\0',
      textBlock =
          """
          {"in": "x"}                  | this line has no field out that the template asks for; it has [in].
          {"in": "x", "out": null}     | this line has no field out that the template asks for; it has [in, out].
          {"in": [{"role": "user", "content": "x"}], "out": "y"} | field in holds the messages of a conversation, but a template makes text of it; name the field as messages, or of pairs as chosen_messages and rejected_messages.
          {}                           | this line has no field in that the template asks for; it has none.
          {"in": "x", "out": "y"       | this line is not valid JSON.
          {"in": "x", "out": "y"} {}   | this line is not valid JSON.
          ["x", "y"]                   | this line is not a JSON object such as {"prompt": ..., "completion": ...}.
          {"in": "ret\\nret\\nret\\nret", "out": ""} | the prompt alone takes 8 tokens, which leaves no room for a response in max_length, 8.
          """)
  void namesTheLineThatCannotBeUsed(String line, String sentence) {
    BadJobException thrown =
        assertThrows(
            BadJobException.class, () -> load(8, "{\"in\": \"\", \"out\": \"\"}", "", line));
    assertEquals(folder.resolve("data.jsonl") + ":3: " + sentence, thrown.getMessage());
  }

  @Test
  void namesTheFirstBadLineOfManyThreads() throws IOException {
    String[] lines = new String[5000];
    Arrays.fill(lines, "{\"in\": \"x\", \"out\": \"y\"}");
    lines[1500] = "first";
    lines[4500] = "second";
    BadJobException thrown = assertThrows(BadJobException.class, () -> load(512, lines));
    assertEquals(
        folder.resolve("data.jsonl") + ":1501: this line is not valid JSON.", thrown.getMessage());
  }

  @Test
  void refusesFilesWithoutSamples() throws IOException {
    Path file = folder.resolve("data.jsonl");
    assertRefused(file + ": there is no sample in this file.", "", " ");

    Files.write(file, new byte[] {'{', (byte) 0xff, '}'});
    BadJobException binary =
        assertThrows(
            BadJobException.class,
            () -> Dataset.load(SampleSource.ofTexts(file, "", ""), tokenizer, 8, 1));
    assertEquals(
        file + ": this is not text in UTF-8, somewhere after line 0.", binary.getMessage());

    BadJobException missing =
        assertThrows(
            BadJobException.class,
            () ->
                Dataset.load(
                    SampleSource.ofTexts(folder.resolve("x.jsonl"), "", ""), tokenizer, 8, 1));
    assertEquals(folder.resolve("x.jsonl") + ": there is no such file.", missing.getMessage());
  }

  private void assertRefused(String sentence, String... lines) {
    BadJobException thrown = assertThrows(BadJobException.class, () -> load(8, lines));
    assertEquals(sentence, thrown.getMessage());
  }

  private Dataset load(int maxLength, String... lines) throws IOException {
    Path file = Files.write(folder.resolve("data.jsonl"), Arrays.asList(lines));
    return Dataset.load(SampleSource.ofTexts(file, "{in}", "{out}"), tokenizer, maxLength, 2);
  }

  private static String sha256(Dataset data) throws NoSuchAlgorithmException {
    MessageDigest digest = MessageDigest.getInstance("SHA-256");
    for (int id = 0; id < data.size(); id++) {
      digest.update(Arrays.toString(data.sequence(id).tokens()).getBytes(UTF_8));
    }
    return HexFormat.of().formatHex(digest.digest());
  }
}
