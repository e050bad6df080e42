package org.ftcluster.worker.training;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Jobs that learn which of two answers is better, however many ranks they are on. */
class PairTrainingTest {
  private static final String DPO = "preference={loss: dpo, beta: 0.5}";

  @TempDir static Path models;
  private static final Map<List<String>, MeshJob.Run> ALONE = new HashMap<>();

  @TempDir Path out;

  @BeforeAll
  static void writeFiles() throws IOException {
    MeshJob.writeFiles(models);
    writePairs(models.resolve("pairs.jsonl"), 30);
    writePairs(models.resolve("eval-pairs.jsonl"), 5);
  }

  private static void writePairs(Path file, int count) throws IOException {
    StringBuilder lines = new StringBuilder();
    for (int i = 0; i < count; i++) {
      lines.append(
          """
          {"prompt": "mov eax, %d", "chosen": "return %d;", "rejected": "%s"}
          """
              .formatted(i, i, "x + ".repeat(1 + i % 6)));
    }
    Files.writeString(file, lines);
  }

  static Stream<Arguments> meshes() {
    String[] dpo = {DPO, "model.quantization.type=nf4"};
    String[] orpo = {
      "preference.loss=orpo", "adapter.type=none", "model.path=" + models.resolve("qwen3")
    };
    return Stream.of(
        Arguments.of(new MeshCase(2, 1, 1, 1, "none"), dpo),
        Arguments.of(new MeshCase(1, 2, 1, 1, "none"), dpo),
        Arguments.of(new MeshCase(1, 1, 2, 2, "none"), dpo),
        Arguments.of(new MeshCase(4, 1, 1, 1, "zero3"), dpo),
        Arguments.of(new MeshCase(2, 1, 2, 1, "zero2"), dpo),
        Arguments.of(new MeshCase(2, 2, 1, 1, "zero3"), dpo),
        Arguments.of(new MeshCase(2, 1, 2, 2, "zero3"), dpo),
        Arguments.of(new MeshCase(2, 1, 1, 1, "zero3"), orpo),
        Arguments.of(new MeshCase(1, 2, 2, 1, "none"), orpo));
  }

  /** Bit for bit, but where slices of layers are added up. */
  @ParameterizedTest
  @MethodSource("meshes")
  void aMeshLearnsWhatOneRankLearns(MeshCase mesh, String[] job) throws Exception {
    MeshJob.Run alone = alone(job);
    MeshJob.Run parts = run("parts", mesh.ranks(), mesh.settings(job));

    double tolerance = mesh.tensor() > 1 ? 1e-3 : mesh.stages() > 1 ? 1e-5 : 0;
    assertArrayEquals(alone.losses(), parts.losses(), tolerance);
    assertEquals(alone.evalLossBefore(), parts.evalLossBefore(), tolerance);
    assertEquals(alone.evalLossAfter(), parts.evalLossAfter(), tolerance);
    double difference = alone.distanceTo(parts);
    assertTrue(difference <= tolerance, "what is learned differs by " + difference);
  }

  @Test
  void whatIsComparedWithItselfCostsTheLogarithmOfTwoAndThenLess() throws Exception {
    MeshJob.Run run = alone(DPO);

    assertEquals(Math.log(2), run.evalLossBefore(), 1e-6);
    assertEquals(Math.log(2), run.losses()[0], 1e-6, "dropout of nothing is nothing");
    assertTrue(run.evalLossAfter() < 0.1, "it was " + run.evalLossAfter());
  }

  @Test
  void layersOnADiskLearnTheSame() throws Exception {
    String nf4 = "model.quantization.type=nf4";
    MeshJob.Run disk = run("disk", 1, DPO, nf4, "offload.parameters=disk");
    assertEquals(alone(DPO, nf4).sha256(), disk.sha256());
  }

  @Test
  void evaluationsSayHowManyPairsHaveTheBetterAnswerAhead() throws Exception {
    List<String> alone = evaluations("one", 1);
    assertEquals(alone, evaluations("three", 3));
    JsonNode last = new JsonMapper().readTree(alone.getLast());
    assertEquals(MeshJob.STEPS, last.get("step").asInt());
    assertEquals(1, last.get("eval_accuracy").asDouble());
  }

  private List<String> evaluations(String folder, int ranks) throws Exception {
    run(folder, ranks, DPO, "evaluation.every_steps=4");
    return Files.readAllLines(out.resolve(folder).resolve("evaluations.jsonl"));
  }

  @Test
  void aGpuLearnsWhatACpuLearns() throws Exception {
    String[] settings = {
      DPO, "training.max_steps=1", "training.global_batch_size=3", "training.micro_batch_size=1"
    };
    MeshJob.Run expected = alone(settings);
    String[] onGpu =
        Stream.concat(Stream.of(pairs(settings)), Stream.of("resources.device=cuda"))
            .toArray(String[]::new);
    MeshJob.Run actual = new MeshJob(models, out.resolve("gpu"), SimulatedGpu::open, onGpu).run(1);

    assertArrayEquals(expected.losses(), actual.losses(), 1e-5);
    double difference = expected.distanceTo(actual);
    assertTrue(difference <= 1e-3, "the adapter differs by " + difference);
  }

  private MeshJob.Run alone(String... settings) throws Exception {
    List<String> key = List.of(settings);
    MeshJob.Run run = ALONE.get(key);
    if (run == null) {
      run = run("alone", 1, settings);
      ALONE.put(key, run);
    }
    return run;
  }

  private MeshJob.Run run(String folder, int ranks, String... settings) throws Exception {
    return new MeshJob(models, out.resolve(folder), pairs(settings)).run(ranks);
  }

  private static String[] pairs(String... more) {
    return Stream.concat(
            Stream.of(
                "data.train={path: %s}".formatted(models.resolve("pairs.jsonl")),
                "data.eval={path: %s}".formatted(models.resolve("eval-pairs.jsonl")),
                "training.reduction=exact"),
            Stream.of(more))
        .toArray(String[]::new);
  }
}
