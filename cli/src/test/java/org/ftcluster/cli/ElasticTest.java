package org.ftcluster.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.LongStream;
import org.ftcluster.cli.console.Json;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A job on real processes that are killed, paused, told to go, and that join. */
class ElasticTest {
  private static final int STEPS = 150;

  @TempDir private Path folder;
  private final List<LiveCommand> started = new ArrayList<>();
  private SampleJob sample;
  private String coordinator;

  @AfterEach
  void endAll() {
    started.forEach(LiveCommand::close);
  }

  @Test
  void whateverHappensToWorkersTheAdapterAndTheSamplesAreTheSame() throws Exception {
    sample = SampleJob.in(folder);
    startCoordinator();
    LiveCommand first = startWorker();
    LiveCommand second = startWorker();
    first.awaitEvent("ready");
    second.awaitEvent("ready");
    JsonNode expected = watch(submit("calm")).await(ElasticTest::isResult);

    LiveCommand job = watch(submit("rough"));
    awaitWorkers(job, 2);
    signal("STOP", second);
    JsonNode lost = job.await(line -> line.path("state").asText().equals("RECOVERING"));
    assertTrue(
        lost.path("reason").asText().matches(".*(no sign of life|doesn't answer|lost rank).*"),
        lost.toString());
    awaitWorkers(job, 1);
    signal("CONT", second);
    awaitWorkers(job, 2);
    LiveCommand third = startWorker();
    awaitWorkers(job, 3);
    signal("KILL", first);
    awaitWorkers(job, 2);
    long before = awaitWorkers(job, 2).path("generation").asLong();
    signal("TERM", second);
    JsonNode noted =
        job.await(line -> line.path("note").asText().contains("leaves: it was told to end"));
    JsonNode alone = awaitWorkers(job, 1);
    assertEquals(before + 1, alone.path("generation").asLong(), noted.toString());
    JsonNode result = job.await(ElasticTest::isResult);

    assertTrue(second.handle().onExit().isDone() || second.exitCode() == 143);
    assertTrue(third.handle().isAlive());
    assertEquals("SUCCEEDED", result.path("state").asText());
    assertEquals(expected.path("adapter_sha256"), result.path("adapter_sha256"));
    assertEquals(lines("calm", "samples.jsonl"), lines("rough", "samples.jsonl"));
    List<Long> steps = new ArrayList<>();
    for (String line : lines("rough", "metrics.jsonl")) {
      steps.add(Json.parse(line).path("step").asLong());
    }
    assertEquals(LongStream.rangeClosed(1, STEPS).boxed().toList(), steps);
  }

  private void startCoordinator() throws Exception {
    try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      coordinator = "127.0.0.1:" + socket.getLocalPort();
    }
    start(
            "coordinator",
            "--grpc",
            coordinator,
            "--cluster-port",
            "0",
            "--data-dir",
            folder.resolve("data").toString())
        .awaitEvent("ready");
  }

  private LiveCommand startWorker() throws IOException {
    return start("worker", "--coordinator", coordinator);
  }

  private LiveCommand start(String... args) throws IOException {
    LiveCommand command = LiveCommand.start(folder.resolve("nodes.log"), args);
    started.add(command);
    return command;
  }

  /** Each job has results of its own. */
  private String submit(String out) throws Exception {
    Cli.Result submitted =
        Cli.run(
            "submit",
            sample.jobFile(),
            "--coordinator",
            coordinator,
            "--json",
            "--set",
            "training.max_steps=" + STEPS,
            "--set",
            "training.global_batch_size=6",
            "--set",
            "training.micro_batch_size=2",
            "--set",
            "training.log_samples=true",
            "--set",
            "checkpoint.path=" + out);
    assertEquals(0, submitted.exitCode(), submitted.err());
    return Json.parse(submitted.out()).path("job").asText();
  }

  private LiveCommand watch(String job) throws IOException {
    return start("watch", job, "--coordinator", coordinator);
  }

  private static JsonNode awaitWorkers(LiveCommand job, int workers) throws InterruptedException {
    return job.await(
        line ->
            line.path("event").asText().equals("step") && line.path("workers").asInt() == workers);
  }

  private static boolean isResult(JsonNode line) {
    return line.has("adapter_sha256");
  }

  private static void signal(String name, LiveCommand process) throws Exception {
    int exit =
        new ProcessBuilder("kill", "-" + name, String.valueOf(process.handle().pid()))
            .start()
            .waitFor();
    assertEquals(0, exit);
  }

  private List<String> lines(String out, String file) throws IOException {
    return Files.readAllLines(folder.resolve(out).resolve(file));
  }
}
