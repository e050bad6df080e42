package org.ftcluster.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.ftcluster.cli.console.Json;
import org.ftcluster.protocol.api.JobResult;
import org.ftcluster.protocol.api.JobSummary;
import org.ftcluster.protocol.api.JobUpdate;
import org.ftcluster.protocol.api.NodeInfo;
import org.ftcluster.protocol.api.StepMetrics;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What client commands print, given what a coordinator says. */
class ClientCommandsTest {
  private static final JobSummary RUNNING =
      JobSummary.newBuilder()
          .setJob("j1")
          .setName("decompile")
          .setState("RUNNING")
          .setStep(7)
          .setSteps(250)
          .setWorkers(2)
          .setMaxWorkers(8)
          .setGeneration(1)
          .build();

  private FakeCoordinator coordinator;

  @BeforeEach
  void start() throws IOException {
    coordinator = new FakeCoordinator();
  }

  @AfterEach
  void stop() throws InterruptedException {
    coordinator.close();
  }

  @Test
  void jobsAreALineOfJsonEach() throws IOException {
    coordinator.jobs.add(RUNNING);
    coordinator.jobs.add(
        RUNNING.toBuilder().setJob("j2").setState("FAILED").setReason("no data").build());

    Cli.Result result = run("jobs", "--json");

    assertEquals(0, result.exitCode());
    assertEquals(
        List.of(
            "{\"job\":\"j1\",\"name\":\"decompile\",\"state\":\"RUNNING\",\"step\":7,\"steps\":250,\"workers\":2,\"generation\":1,\"max_workers\":8}",
            "{\"job\":\"j2\",\"name\":\"decompile\",\"state\":\"FAILED\",\"step\":7,\"steps\":250,\"workers\":2,\"generation\":1,\"max_workers\":8,\"reason\":\"no data\"}"),
        result.lines());
  }

  @Test
  void jobsAreATableForPeople() {
    coordinator.jobs.add(RUNNING);

    Cli.Result result = run("jobs");

    assertEquals(
        List.of(
            "JOB  NAME       STATE    STEP   WORKERS  GENERATION  REASON",
            "j1   decompile  RUNNING  7/250  2        1"),
        result.lines());
  }

  @Test
  void nodesAreALineOfJsonEach() throws IOException {
    coordinator.nodes.add(
        NodeInfo.newBuilder()
            .setNode("n1")
            .setRole("worker")
            .setHost("127.0.0.1")
            .setPid(42)
            .setDevice("cpu")
            .setState("TRAINING")
            .setJob("j1")
            .setRank(1)
            .setGeneration(3)
            .setSlowness(2.254)
            .build());

    assertEquals(
        List.of(
            "{\"node\":\"n1\",\"role\":\"worker\",\"host\":\"127.0.0.1\",\"pid\":42,\"device\":\"cpu\",\"state\":\"TRAINING\",\"job\":\"j1\",\"rank\":1,\"generation\":3,\"slowness\":2.25}"),
        run("nodes", "--json").lines());
  }

  @Test
  void cancelPrintsTheJob() throws IOException {
    Cli.Result result = run("cancel", "j1", "--json");

    assertEquals(0, result.exitCode());
    assertEquals("CANCELLED", Json.parse(result.out()).path("state").asText());
  }

  @Test
  void scalePrintsTheJobAndHowManyWorkersItIsToHave() throws IOException {
    Cli.Result result = run("scale", "j1", "--workers", "3", "--json");

    assertEquals(0, result.exitCode());
    assertEquals(3, Json.parse(result.out()).path("max_workers").asInt());
    assertEquals(2, run("scale", "j1").exitCode());
  }

  @Test
  void drainPrintsTheWorker() throws IOException {
    Cli.Result result = run("drain", "n1:7", "--json");

    assertEquals(0, result.exitCode());
    assertEquals("DRAINING", Json.parse(result.out()).path("state").asText());
  }

  @Test
  void anUnknownJobIsAWrongRequest() {
    for (String command : List.of("cancel j9", "watch j9", "scale j9 --workers 2")) {
      Cli.Result result = run(command.split(" "));

      assertEquals(2, result.exitCode());
      assertEquals("ftcluster: there is no job j9\n", result.err());
    }
  }

  @Test
  void watchEndsWithTheResultAsTrainDoes() throws IOException {
    coordinator.updates.add(JobUpdate.newBuilder().setJob(RUNNING).build());
    coordinator.updates.add(JobUpdate.newBuilder().setJob(RUNNING).setStep(step(8)).build());
    coordinator.updates.add(
        JobUpdate.newBuilder()
            .setJob(RUNNING.toBuilder().setState("SUCCEEDED"))
            .setResult(
                JobResult.newBuilder()
                    .setSteps(250)
                    .setEvalLossBefore(0.6)
                    .setEvalLossAfter(Double.NaN)
                    .setAdapter("/out/adapter")
                    .setAdapterSha256("ab")
                    .setGenerations(1))
            .build());

    Cli.Result result = run("watch", "j1", "--json");

    assertEquals(0, result.exitCode());
    JsonNode step = Json.parse(result.lines().get(1));
    assertEquals("step", step.path("event").asText());
    assertEquals(0.25, step.path("loss").asDouble());
    JsonNode last = Json.parse(result.lines().getLast());
    assertEquals("SUCCEEDED", last.path("state").asText());
    assertEquals(250, last.path("result_step").asLong(), "which older ones leave out");
    assertEquals(0.6, last.path("eval_loss_before").asDouble());
    assertTrue(last.path("eval_loss_after").isNull());
    assertEquals(
        Set.of(
            "job",
            "state",
            "steps",
            "result_step",
            "eval_loss_before",
            "eval_loss_after",
            "adapter",
            "adapter_sha256",
            "tokens_per_second",
            "wall_seconds",
            "generations",
            "samples"),
        fields(last));
  }

  @Test
  void watchShowsPeopleProgressOnStandardErrorAndTheResultOnStandardOutput() {
    coordinator.updates.add(JobUpdate.newBuilder().setJob(RUNNING).setStep(step(8)).build());
    coordinator.updates.add(
        JobUpdate.newBuilder()
            .setJob(RUNNING.toBuilder().setState("SUCCEEDED"))
            .setResult(JobResult.newBuilder().setSteps(250).setAdapter("/out/adapter"))
            .build());

    Cli.Result result = run("watch", "j1");

    assertTrue(result.err().contains("step 8 of 250  loss 0.2500  1,234 tokens/s"), result.err());
    assertTrue(result.out().contains("Job j1 succeeded: 250 steps"), result.out());
    assertTrue(result.out().contains("Adapter: /out/adapter"), result.out());
  }

  @Test
  void watchFailsWithTheJobAndSaysWhy() throws IOException {
    coordinator.updates.add(
        JobUpdate.newBuilder()
            .setJob(RUNNING.toBuilder().setState("FAILED").setReason("train.jsonl:3: not JSON"))
            .build());

    Cli.Result result = run("watch", "j1", "--json");

    assertEquals(1, result.exitCode());
    JsonNode last = Json.parse(result.lines().getLast());
    assertEquals("FAILED", last.path("state").asText());
    assertEquals("train.jsonl:3: not JSON", last.path("reason").asText());
    assertTrue(result.err().contains("train.jsonl:3: not JSON"), result.err());
    assertFalse(result.err().contains("unexpected"), result.err());
  }

  private static StepMetrics step(long step) {
    return StepMetrics.newBuilder()
        .setStep(step)
        .setLoss(0.25)
        .setTokensPerSecond(1234)
        .setWorkers(2)
        .setGeneration(1)
        .build();
  }

  private Cli.Result run(String... args) {
    List<String> all = new java.util.ArrayList<>(List.of(args));
    all.addAll(List.of("--coordinator", coordinator.address()));
    return Cli.run(all.toArray(String[]::new));
  }

  private static Set<String> fields(JsonNode object) {
    Set<String> names = new TreeSet<>();
    object.fieldNames().forEachRemaining(names::add);
    return names;
  }
}
