package org.ftcluster.worker.training;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

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
import org.ftcluster.worker.collective.nccl.NcclCommunicator;
import org.ftcluster.worker.collective.nccl.SimulatedNccl;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Steps of a model in parts on GPUs are steps of the model on one CPU. GPUs and NCCL are simulated.
 */
class DeviceMeshTest {
  private static final int STEPS = 2;

  /** What a simulated GPU is done with soon, with gradients that go by way of it. */
  private static final List<String> FEW =
      List.of(
          "adapter.r=32",
          "training.max_steps=" + STEPS,
          "training.global_batch_size=3",
          "training.micro_batch_size=1",
          "checkpoint.every_steps=10");

  /** The evaluation sees what it has changed. */
  private static final String ONE_STEP = "training.max_steps=1";

  @TempDir static Path models;
  private static final Map<String, MeshJob.Run> ALONE = new HashMap<>();
  private static MeshJob.Run oneGpu;

  @TempDir Path out;

  @BeforeAll
  static void writeModels() throws IOException {
    MeshJob.writeFiles(models);
  }

  static Stream<Arguments> meshes() {
    return Stream.of(
        Arguments.of("llama", "none", new MeshCase(2, 1, 1, 1, "none"), "none", "fast"),
        Arguments.of("qwen3", "nf4", new MeshCase(1, 2, 1, 1, "none"), "cpu", "exact"),
        Arguments.of("llama", "none", new MeshCase(1, 1, 2, 2, "none"), "cpu", "exact"),
        Arguments.of("llama", "int8", new MeshCase(1, 2, 2, 1, "none"), "none", "exact"),
        Arguments.of("llama", "nf4", new MeshCase(2, 1, 1, 1, "zero2"), "none", "exact"),
        Arguments.of("llama", "nf4", new MeshCase(2, 2, 1, 1, "zero3"), "none", "exact"),
        Arguments.of("phi3", "nf4", new MeshCase(2, 1, 1, 1, "zero3"), "none", "exact"),
        Arguments.of("gemma2", "none", new MeshCase(1, 2, 1, 1, "none"), "none", "exact"));
  }

  @ParameterizedTest
  @MethodSource("meshes")
  void aMeshOfGpusLearnsWhatOneCpuLearns(
      String model, String quantization, MeshCase mesh, String parameters, String reduction)
      throws Exception {
    MeshJob.Run parts =
        onGpus(
            model,
            quantization,
            mesh,
            "offload.parameters=" + parameters,
            "training.reduction=" + reduction);
    compare(alone(model, quantization), parts);
  }

  private MeshJob.Run onGpus(String model, String quantization, MeshCase mesh, String... more)
      throws Exception {
    try (var _ = SimulatedNccl.open()) {
      return jobOnGpus(model, quantization, mesh, more).run(mesh.ranks());
    }
  }

  private MeshJob jobOnGpus(String model, String quantization, MeshCase mesh, String... more)
      throws IOException {
    List<String> job = job(model, quantization);
    job.add("resources.device=cuda");
    job.addAll(List.of(more));
    String[] settings = mesh.settings(job.toArray(String[]::new));
    Path folder = Files.createTempDirectory(out, "gpus");
    return new MeshJob(models, folder, SimulatedGpu::open, settings);
  }

  /** Exact sums depend on no order, and an optimizer on no place. */
  @Test
  void copiesOnGpusLearnWhatOneGpuLearnsBitForBit() throws Exception {
    MeshJob.Run oneGpu = oneGpu();
    compare(alone("llama", "nf4"), oneGpu);
    for (String sharding : List.of("none", "zero1", "zero2")) {
      MeshJob.Run copies = onGpus("llama", "nf4", new MeshCase(2, 1, 1, 1, sharding));
      assertArrayEquals(oneGpu.losses(), copies.losses());
      assertArrayEquals(oneGpu.norms(), copies.norms());
      assertEquals(oneGpu.sha256(), copies.sha256());
    }
  }

  /** Every weight is trained, and no GPU has all of them. */
  @Test
  void sharesOfEveryWeightLearnWhatOneCpuLearns() throws Exception {
    String[] settings = everyWeight("float32", ONE_STEP);
    compare(
        alone("qwen3", "none", settings),
        onGpus("qwen3", "none", new MeshCase(2, 1, 2, 1, "zero3"), settings));
    MeshCase groups = new MeshCase(2, 2, 1, 1, "zero3", 2);
    String[] fast = everyWeight("float32", ONE_STEP, "training.reduction=fast");
    compare(alone("llama", "none", settings), onGpus("llama", "none", groups, fast));
  }

  /**
   * The one evaluation batch is the first copy's, and so is the step's one micro-batch. In the
   * other copy only the first stage and the last have something to say to each other: the
   * embedding, which is the head.
   */
  @Test
  void aStageThatHasNoMessagesHoldsNobodyUp() throws Exception {
    String[] settings =
        everyWeight(
            "float32",
            ONE_STEP,
            "training.global_batch_size=5",
            "training.micro_batch_size=5"); // tokens of an evaluation batch, too
    compare(
        alone("qwen3", "none", settings),
        onGpus("qwen3", "none", new MeshCase(2, 1, 3, 1, "zero3"), settings));
  }

  @Test
  void sharesOfEveryWeightLearnWhatOneGpuLearnsBitForBit() throws Exception {
    String[] settings = everyWeight("bfloat16", ONE_STEP);
    MeshJob.Run one = onGpus("qwen3", "none", new MeshCase(1, 1, 1, 1, "none"), settings);
    MeshJob.Run shares = onGpus("qwen3", "none", new MeshCase(3, 1, 1, 1, "zero3"), settings);
    assertArrayEquals(one.losses(), shares.losses());
    assertEquals(one.sha256(), shares.sha256());
  }

  private static String[] everyWeight(String dtype, String... more) {
    List<String> settings = new ArrayList<>(List.of(more));
    settings.addAll(
        List.of("adapter.type=none", "model.dtype=" + dtype, "training.learning_rate=0.001"));
    return settings.toArray(String[]::new);
  }

  /** What only GPUs had of the state is in the hosts' memory when a generation ends, however. */
  @Test
  void aCopyThatIsLostCostsNoStep() throws Exception {
    MeshCase mesh = new MeshCase(2, 1, 1, 1, "none");
    try (var _ = SimulatedNccl.open();
        MeshJob job = jobOnGpus("llama", "nf4", mesh, "checkpoint.every_steps=1")) {
      List<RankTask> first = job.newTasks(2);
      new Generation(1, first).loseAfterStep(1, 1).run(-1);
      assertEquals(1, first.getFirst().completedStep());
      List<RankTask> second = List.of(job.newTask(), first.getFirst());
      Generation last = new Generation(2, second).run(1);
      assertEquals(1, last.started.getFirst());
      assertEquals(oneGpu().sha256(), job.completed(last).sha256());
    }
  }

  /** With its optimizer on the host. */
  private MeshJob.Run oneGpu() throws Exception {
    if (oneGpu == null) {
      MeshCase mesh = new MeshCase(1, 1, 1, 1, "none");
      oneGpu = onGpus("llama", "nf4", mesh, "offload.optimizer=cpu");
    }
    return oneGpu;
  }

  @Test
  void aModelInPartsIsNotBegunWithoutNccl() {
    assumeFalse(NcclCommunicator.missing().isEmpty(), "this machine has NCCL and CUDA");
    List<String> job = job("llama", "none");
    job.add("resources.device=cuda");
    MeshCase mesh = new MeshCase(1, 2, 1, 1, "none");
    SimulatedGpu.open().accelerator().close(); // skipped where there can't be one
    BadJobException e =
        assertThrows(
            BadJobException.class,
            () ->
                new MeshJob(
                        models, out, SimulatedGpu::open, mesh.settings(job.toArray(String[]::new)))
                    .run(mesh.ranks()));
    assertTrue(
        e.getMessage()
            .startsWith(
                "resources.device is cuda, and the model is in parts, which takes NCCL: there is no"
                    + " lib"),
        e.getMessage());
  }

  private static List<String> job(String model, String quantization) {
    List<String> job = new ArrayList<>(FEW);
    job.add("model.path=" + models.resolve(model));
    job.add("model.quantization.type=" + quantization);
    return job;
  }

  private MeshJob.Run alone(String model, String quantization, String... more) throws Exception {
    List<String> job = job(model, quantization);
    job.addAll(List.of(more));
    String key = String.join(" ", job);
    if (!ALONE.containsKey(key)) {
      Path folder = Files.createTempDirectory(out, "alone");
      ALONE.put(key, new MeshJob(models, folder, job.toArray(String[]::new)).run(1));
    }
    return ALONE.get(key);
  }

  private static void compare(MeshJob.Run alone, MeshJob.Run parts) {
    close(alone.losses(), parts.losses());
    close(alone.norms(), parts.norms());
    close(
        new double[] {alone.evalLossBefore(), alone.evalLossAfter()},
        new double[] {parts.evalLossBefore(), parts.evalLossAfter()});
    assertEquals(alone.adapter().keySet(), parts.adapter().keySet());
    double difference = alone.distanceTo(parts);
    assertTrue(difference <= 1e-4, "the adapter differs by " + difference);
  }

  private static void close(double[] expected, double[] actual) {
    assertEquals(expected.length, actual.length, Arrays.toString(actual));
    for (int i = 0; i < expected.length; i++) {
      assertEquals(expected[i], actual[i], 1e-5 * expected[i]);
    }
  }
}
