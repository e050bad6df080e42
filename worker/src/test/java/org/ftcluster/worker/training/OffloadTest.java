package org.ftcluster.worker.training;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.ftcluster.protocol.job.BadJobException;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What lies on a disk instead of in memory changes no bit, wherever it is taken from there. */
class OffloadTest {
  /** On a disk, which the folder for temporary files may not be. */
  private static final Path DISK = Path.of("target/offload").toAbsolutePath();

  @TempDir static Path models;
  private static final Map<String, MeshJob.Run> PLAIN = new HashMap<>();

  @TempDir Path out;

  @BeforeAll
  static void writeModels() throws IOException {
    MeshJob.writeFiles(models);
  }

  @AfterEach
  void noFileIsLeft() throws IOException {
    if (Files.exists(DISK)) {
      try (Stream<Path> files = Files.list(DISK)) {
        assertEquals(0, files.count());
      }
    }
  }

  private static String[] offloaded(String... more) {
    return Stream.concat(
            Stream.of(
                "offload.optimizer=disk",
                "offload.activations=disk",
                "training.gradient_checkpointing=false",
                "offload.path=" + DISK),
            Arrays.stream(more))
        .toArray(String[]::new);
  }

  private MeshJob.Run plain(int ranks, String... settings) throws Exception {
    String key = Arrays.toString(settings);
    MeshJob.Run run = PLAIN.get(key);
    if (run == null) {
      run = new MeshJob(models, out.resolve("plain"), settings).run(ranks);
      PLAIN.put(key, run);
    }
    return run;
  }

  @ParameterizedTest
  @CsvSource({
    "llama, float32, none, lora",
    "qwen3, bfloat16, nf4, lora",
    "qwen3, float32, none, none"
  })
  void aWorkerLearnsTheSame(String model, String dtype, String quantization, String adapter)
      throws Exception {
    String[] settings = {
      "model.path=" + models.resolve(model),
      "model.dtype=" + dtype,
      "model.quantization.type=" + quantization,
      "adapter.type=" + adapter,
      "training.learning_rate=0.001",
      "training.max_steps=3"
    };
    MeshJob plainJob = new MeshJob(models, out.resolve("plain"), settings);
    RankTask plainTask = plainJob.newTask();
    Generation plain = new Generation(1, List.of(plainTask)).run(-1);
    MeshJob job = new MeshJob(models, out.resolve("offloaded"), offloaded(settings));
    RankTask task = job.newTask();
    Generation generation = new Generation(1, List.of(task)).run(-1);
    try (plainJob;
        job) {
      generation.failures.stream()
          .filter(failure -> failure != null)
          .findAny()
          .ifPresent(
              failure -> {
                throw failure;
              });
      assertEquals(plain.steps.getLast().loss(), generation.steps.getLast().loss());
      assertEquals(sha256(plain), sha256(generation));
      MemoryUse kept = ((TrainingTask) plainTask).memory();
      MemoryUse offloaded = ((TrainingTask) task).memory();
      assertTrue(offloaded.trained() < kept.trained());
      assertTrue(offloaded.activations() < kept.activations());
    }
  }

  private static String sha256(Generation generation) {
    return java.util.Objects.requireNonNull(generation.result).adapterSha256();
  }

  @ParameterizedTest
  @CsvSource({
    "1, 2, 1, none",
    "1, 2, 2, none",
    "2, 1, 1, none",
    "1, 1, 1, zero1",
    "1, 1, 1, zero3",
    "1, 2, 1, zero2"
  })
  void aMeshLearnsTheSame(int tensor, int stages, int chunks, String sharding) throws Exception {
    int data = sharding.equals("none") ? 1 : 2;
    MeshCase mesh = new MeshCase(data, tensor, stages, chunks, sharding);
    String few = "training.max_steps=4";
    MeshJob.Run plain = plain(tensor, few, "parallel.tensor=" + tensor);
    MeshJob.Run run =
        new MeshJob(models, out.resolve("offloaded"), mesh.settings(offloaded(few)))
            .run(mesh.ranks());
    assertEquals(plain.sha256(), run.sha256());
    assertArrayEquals(plain.losses(), run.losses());
  }

  @ParameterizedTest
  @CsvSource({"float32, zero3", "bfloat16, zero3", "bfloat16, zero1"})
  void sharesOfAllWeightsLearnTheSame(String dtype, String sharding) throws Exception {
    String[] settings = {
      "adapter.type=none",
      "training.reduction=exact",
      "training.learning_rate=0.001",
      "training.max_steps=4",
      "model.dtype=" + dtype
    };
    MeshJob.Run plain = plain(1, settings);
    MeshCase mesh = new MeshCase(2, 1, 1, 1, sharding);
    MeshJob.Run run =
        new MeshJob(models, out.resolve("offloaded"), mesh.settings(offloaded(settings)))
            .run(mesh.ranks());
    assertEquals(plain.sha256(), run.sha256());
  }

  @Test
  void aLostRanksShareIsAtItsNeighbourAndInCheckpoints() throws Exception {
    MeshJob.Run plain = plain(1);
    Path folder = out.resolve("shared");
    String[] settings = offloaded("parallel.sharding=zero1", "checkpoint.every_steps=2");
    try (MeshJob job = new MeshJob(models, folder, settings)) {
      List<RankTask> first = job.newTasks(3);
      new Generation(1, first).stopAfterStep(3).run(-1);
      // Rank 1 is lost, and another comes instead.
      List<RankTask> left = new ArrayList<>(List.of(first.get(2), first.get(0), job.newTask()));
      Generation second = new Generation(2, left).stopAfterStep(5);
      second.run(1);
      assertEquals(3, second.started.getFirst(), "from the disks, not from the checkpoint");
    }
    // Everyone is lost, and one that has all in memory goes on.
    String[] inMemory = {"offload.optimizer=none", "checkpoint.every_steps=2"};
    try (MeshJob job = new MeshJob(models, folder, inMemory)) {
      Generation last = new Generation(3, job.newTasks(1));
      assertEquals(plain.sha256(), job.completed(last.run(-1)).sha256());
      assertEquals(4, last.started.getFirst());
    }
  }

  @Test
  void aDiskThatTakesNothingIsASentence() throws IOException {
    Path file = Files.createFile(out.resolve("file"));
    String[] settings = {"offload.optimizer=disk", "offload.path=" + file.resolve("folder")};
    try (MeshJob job = new MeshJob(models, out.resolve("out"), settings)) {
      String message = assertThrows(BadJobException.class, job::newTask).getMessage();
      assertTrue(
          message.startsWith(
              "offload.path: the optimizer's moments can't be written to %s: "
                  .formatted(file.resolve("folder"))),
          message);
    }
  }
}
