package org.ftcluster.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** {@code train}, with its coordinator and workers as real processes. */
class LocalTrainingIT {
  private static final List<String> RESULT =
      List.of(
          "state",
          "steps",
          "eval_loss_before",
          "eval_loss_after",
          "adapter",
          "adapter_sha256",
          "tokens_per_second",
          "wall_seconds",
          "generations",
          "samples");

  @TempDir private Path folder;
  private SampleJob sample;

  @BeforeEach
  void copySample() throws IOException {
    sample = SampleJob.in(folder);
  }

  @AfterEach
  void leaveNothingBehind() {
    LiveCommand.naming(folder).forEach(ProcessHandle::destroyForcibly);
  }

  @Test
  void oneWorkerAndTwoMakeTheSameAdapterAndLeaveNoProcess() throws Exception {
    JsonNode one = train(1, "out-one");
    JsonNode two = train(2, "out-two", "--set", "parallel=auto"); // where each has room for all
    JsonNode stages = train(2, "out-stages", "--set", "parallel.pipeline=2");

    for (JsonNode other : List.of(two, stages)) {
      assertEquals(one.path("adapter_sha256"), other.path("adapter_sha256"));
      assertEquals(
          one.path("eval_loss_after").asDouble(), other.path("eval_loss_after").asDouble());
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "parallel.tensor=4                     | parallel.* needs 4",
        "parallel={tensor: 4, pipeline: auto}  | on 4 workers would.",
      })
  void tooFewWorkersForOneCopyOfTheModelAreRefusedAtOnce(String layout, String why)
      throws Exception {
    try (LiveCommand command = start(3, 3, "out", "--set", layout)) {
      assertEquals(2, command.exitCode());
      assertTrue(
          command.lines().getLast().path("error").asText().endsWith(why),
          command.lines().toString());
    }
  }

  private JsonNode train(int workers, String out, String... more) throws Exception {
    try (LiveCommand command = start(workers, 3, out, more)) {
      assertEquals(0, command.exitCode());
      assertEquals(List.of(), LiveCommand.naming(folder));
      List<JsonNode> lines = command.lines();
      List<JsonNode> steps =
          lines.stream().filter(line -> line.path("event").asText().equals("step")).toList();
      assertEquals(3, steps.size());
      steps.forEach(step -> assertEquals(workers, step.path("workers").asInt()));
      JsonNode result = lines.getLast();
      assertEquals("SUCCEEDED", result.path("state").asText());
      assertEquals(3, result.path("steps").asInt());
      RESULT.forEach(field -> assertTrue(result.hasNonNull(field), field + " in " + result));
      assertTrue(
          result.path("eval_loss_after").asDouble() < result.path("eval_loss_before").asDouble());
      Path adapter = folder.resolve(out).resolve("adapter");
      assertEquals(adapter.toString(), result.path("adapter").asText());
      assertTrue(Files.exists(adapter.resolve("adapter_model.safetensors")));
      assertTrue(Files.exists(folder.resolve(out).resolve("metrics.jsonl")));
      return result;
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"KILL", "INT"})
  void howeverTheLauncherEndsNoProcessStays(String signal) throws Exception {
    assumeFalse(
        signal.equals("INT") && interruptsAreIgnored(),
        "SIGINT is ignored here, as below a shell's background job, and so by what is started here");
    try (LiveCommand command = start(2, 10_000, "out")) {
      command.await(line -> line.path("state").asText().equals("RUNNING"));
      assertEquals(4, LiveCommand.naming(folder).size());

      new ProcessBuilder("kill", "-" + signal, String.valueOf(command.handle().pid()))
          .start()
          .waitFor();

      assertNoneWithin(Duration.ofMinutes(2));
    }
  }

  private static boolean interruptsAreIgnored() throws IOException {
    return Files.readAllLines(Path.of("/proc/self/status")).stream()
        .filter(line -> line.startsWith("SigIgn:"))
        .anyMatch(line -> (Long.parseUnsignedLong(line.substring(7).strip(), 16) & 2) != 0);
  }

  @Test
  void aJobThatFailsSaysWhyInItsLastLine() throws Exception {
    sample.replaceLine("train.jsonl", 7, "not JSON");
    try (LiveCommand command = start(1, 3, "out")) {
      assertEquals(1, command.exitCode());
      JsonNode result = command.lines().getLast();
      assertEquals("FAILED", result.path("state").asText());
      assertTrue(result.path("reason").asText().contains("train.jsonl:7"), result.toString());
      assertTrue(RESULT.stream().allMatch(result::has), result.toString());
      assertEquals(List.of(), LiveCommand.naming(folder));
    }
  }

  private LiveCommand start(int workers, int steps, String out, String... more) throws IOException {
    List<String> arguments =
        new ArrayList<>(
            List.of(
                "train",
                sample.jobFile(),
                "--workers",
                String.valueOf(workers),
                "--set",
                "training.max_steps=" + steps,
                "--set",
                "training.global_batch_size=8",
                "--set",
                "training.micro_batch_size=4",
                "--set",
                "checkpoint.path=" + out));
    arguments.addAll(List.of(more));
    return LiveCommand.start(folder.resolve("launcher.log"), arguments.toArray(String[]::new));
  }

  private void assertNoneWithin(Duration time) throws InterruptedException {
    long deadline = System.nanoTime() + time.toNanos();
    while (System.nanoTime() < deadline && !LiveCommand.naming(folder).isEmpty()) {
      Thread.sleep(200);
    }
    assertEquals(List.of(), LiveCommand.naming(folder));
  }
}
