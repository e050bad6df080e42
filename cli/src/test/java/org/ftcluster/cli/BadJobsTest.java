package org.ftcluster.cli;

import static org.junit.jupiter.api.Assertions.assertAll;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.ftcluster.cli.console.Json;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** What {@code validate} says about jobs that can't run. */
class BadJobsTest {
  @TempDir private Path folder;
  private SampleJob sample;

  @BeforeEach
  void copySample() throws IOException {
    sample = SampleJob.in(folder);
  }

  /** Spoils the sample. */
  interface Spoiler {
    void spoil(SampleJob sample) throws IOException;
  }

  /**
   * A job that is wrong in one way.
   *
   * @param says what the sentence must contain
   */
  record Case(String what, Spoiler spoiler, String... says) {
    @Override
    public String toString() {
      return what;
    }
  }

  static Stream<Case> cases() {
    return Stream.of(
        new Case(
            "a misspelt key",
            job -> job.replace("job.yaml", "learning_rate:", "learning_rat:"),
            "job.yaml:",
            "training.learning_rat ",
            "training.learning_rate"),
        new Case(
            "a value of the wrong type",
            job -> job.replace("job.yaml", "seed: 42", "seed: many"),
            "training.seed",
            "many"),
        new Case(
            "a value out of range",
            job -> job.replace("job.yaml", "micro_batch_size: 8", "micro_batch_size: 0"),
            "training.micro_batch_size",
            "1"),
        new Case(
            "a missing file",
            job -> Files.delete(job.file("train.jsonl")),
            "data.train.path",
            "train.jsonl",
            "there is no such file"),
        new Case(
            "a line that is not JSON",
            job -> job.replaceLine("train.jsonl", 3, "{\"instruction\": "),
            "train.jsonl:3",
            "not valid JSON"),
        new Case(
            "a line that lacks a field",
            job -> job.replaceLine("eval.jsonl", 5, "{\"instruction\": \"ret\"}"),
            "eval.jsonl:5",
            "output"),
        new Case("an empty data set", job -> job.write("train.jsonl", "\n\n"), "train.jsonl"),
        new Case(
            "a prompt that fills max_length",
            job ->
                job.replaceLine(
                    "train.jsonl",
                    2,
                    "{\"instruction\": \"%s\", \"output\": \"int x;\"}"
                        .formatted("ret ".repeat(600))),
            "train.jsonl:2",
            "prompt",
            "max_length"),
        new Case(
            "a model without weights",
            job -> Files.delete(job.file("base/model.safetensors")),
            "base",
            "safetensors"),
        new Case(
            "an architecture that is not supported",
            job -> job.replace("base/config.json", "LlamaForCausalLM", "MambaForCausalLM"),
            "MambaForCausalLM",
            "LlamaForCausalLM",
            "Qwen2ForCausalLM"),
        new Case(
            "a truncated weights file",
            job -> {
              byte[] bytes = Files.readAllBytes(job.file("base/model.safetensors"));
              Files.write(
                  job.file("base/model.safetensors"), Arrays.copyOf(bytes, bytes.length / 2));
            },
            "model.safetensors"),
        new Case(
            "weights that don't fit the configuration",
            job ->
                job.replace(
                    "base/config.json", "\"intermediate_size\": 704", "\"intermediate_size\": 512"),
            "model.layers.0.mlp",
            "512",
            "704"),
        new Case(
            "a tokenizer with more tokens than the embedding",
            job -> job.replace("base/config.json", "\"vocab_size\": 1024", "\"vocab_size\": 500"),
            "tokenizer.json",
            "533",
            "500"),
        new Case(
            "target_modules that match nothing",
            job ->
                job.replace(
                    "job.yaml", "target_modules: all-linear", "target_modules: [query_proj]"),
            "adapter.target_modules",
            "query_proj",
            "q_proj"),
        new Case(
            "an adapter that is none",
            job -> {
              Files.createDirectories(job.file("adapter"));
              job.replace("job.yaml", "type: lora", "init_from: adapter");
            },
            "adapter.init_from",
            "adapter_config.json"),
        new Case(
            "a folder with another job's checkpoints",
            job -> {
              Files.createDirectories(job.file("out/step-3"));
              job.write(
                  "out/step-3/checkpoint.json",
                  "{\"format\": 2, \"job\": {\"training.seed\": \"7\"}}");
            },
            "checkpoint.path",
            "out/step-3",
            "checkpoint.overwrite"));
  }

  @ParameterizedTest
  @MethodSource("cases")
  void oneSentenceSaysWhatIsWrongAndWhere(Case wrong) throws IOException {
    wrong.spoiler().spoil(sample);

    Cli.Result result = Cli.run("validate", sample.jobFile());

    assertEquals(2, result.exitCode(), result.err());
    assertEquals("", result.out());
    for (String part : wrong.says()) {
      assertTrue(result.err().contains(part), () -> "no '" + part + "' in: " + result.err());
    }
    assertFalse(result.err().contains("Exception"), result.err());
    assertFalse(result.err().contains("\tat "), result.err());
    assertEquals(
        1,
        result.err().lines().filter(line -> line.startsWith("ftcluster: ")).count(),
        result.err());
  }

  @Test
  void allThatIsWrongWithAFileIsSaidAtOnce() throws IOException {
    sample.replace("job.yaml", "learning_rate:", "learning_rat:");
    sample.replace("job.yaml", "seed: 42", "seed: many");

    Cli.Result result = Cli.run("validate", sample.jobFile(), "--json", "--set", "elastic.min=3");

    assertEquals(2, result.exitCode());
    assertEquals(3, Json.parse(result.lines().getFirst()).path("error").asText().lines().count());
    assertTrue(result.err().contains("--set elastic.min=3"), result.err());
  }

  @Test
  void aJobFileThatIsNotThere() {
    for (String command : List.of("validate", "submit", "train")) {
      Cli.Result result = Cli.run(command, folder.resolve("jobb.yaml").toString());

      assertAll(
          () -> assertEquals(2, result.exitCode()),
          () ->
              assertTrue(result.err().contains("jobb.yaml: there is no such file"), result.err()));
    }
  }

  @Test
  void aJobThatCanRunIsValid() {
    Cli.Result result = Cli.run("validate", sample.jobFile(), "--json");

    assertEquals(0, result.exitCode(), result.err());
    assertEquals(List.of("{\"valid\":true,\"name\":\"decompile\",\"steps\":4}"), result.lines());
  }
}
