package org.ftcluster.worker.training;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Ten steps of a model in parts are ten steps of the model on one rank. */
class MeshTrainingTest {

  @TempDir static Path models;
  private static final Map<String, MeshJob.Run> ALONE = new HashMap<>();
  private static MeshJob.@Nullable Run manyAlone;

  @TempDir Path out;

  @BeforeAll
  static void writeModels() throws IOException {
    MeshJob.writeFiles(models);
  }

  static Stream<Arguments> meshes() {
    return Stream.concat(
        Stream.of(
            Arguments.of("llama", "int8", new MeshCase(2, 2, 1, 1, "zero3")),
            Arguments.of("phi3", "nf4", new MeshCase(2, 2, 1, 1, "zero3")),
            Arguments.of("gemma2", "none", new MeshCase(1, 2, 2, 1, "none")),
            Arguments.of("gemma2", "nf4", new MeshCase(2, 1, 2, 2, "zero3"))),
        Stream.of("llama", "qwen3")
            .flatMap(
                model ->
                    Stream.of("none", "nf4")
                        .flatMap(
                            quantization ->
                                MeshCase.ALL.stream()
                                    .map(mesh -> Arguments.of(model, quantization, mesh)))));
  }

  @ParameterizedTest
  @MethodSource("meshes")
  void aMeshLearnsWhatOneRankLearns(String model, String quantization, MeshCase mesh)
      throws Exception {
    String[] job =
        mesh.settings(
            "model.path=" + models.resolve(model), "model.quantization.type=" + quantization);
    MeshJob.Run alone = alone(model, quantization);
    MeshJob.Run parts = new MeshJob(models, out, job).run(mesh.ranks());

    compare(alone, parts, mesh, quantization.equals("none") ? 1e-5 : 1e-3);
  }

  static Stream<MeshCase> meshesOfCopies() {
    return Stream.of(
        new MeshCase(2, 2, 1, 1, "none"),
        new MeshCase(2, 1, 2, 1, "none"),
        new MeshCase(2, 1, 2, 2, "none"),
        new MeshCase(1, 2, 2, 1, "zero1"),
        new MeshCase(2, 1, 1, 1, "zero2"),
        new MeshCase(2, 1, 2, 2, "zero2"),
        new MeshCase(3, 1, 1, 1, "zero3"));
  }

  /**
   * Gradients of several megabytes go in pieces, while backwards go on; copies have a micro-batch
   * more or less than others.
   */
  @ParameterizedTest
  @MethodSource("meshesOfCopies")
  void soDoesOneThatSumsManyGradients(MeshCase mesh) throws Exception {
    String many = "adapter.r=128";
    if (manyAlone == null) {
      manyAlone = new MeshJob(models, out.resolve("alone"), many).run(1);
    }
    MeshJob.Run parts = new MeshJob(models, out, mesh.settings(many)).run(mesh.ranks());
    compare(manyAlone, parts, mesh, 1e-5);
  }

  private static void compare(
      MeshJob.Run alone, MeshJob.Run parts, MeshCase mesh, double tolerance) {
    close(alone.losses(), parts.losses(), tolerance);
    close(alone.norms(), parts.norms(), tolerance);
    assertEquals(
        alone.evalLossBefore(), parts.evalLossBefore(), tolerance * alone.evalLossBefore());
    assertEquals(alone.evalLossAfter(), parts.evalLossAfter(), tolerance * alone.evalLossAfter());
    assertEquals(alone.adapter().keySet(), parts.adapter().keySet());
    double difference = alone.distanceTo(parts);
    assertTrue(difference <= tolerance, "the adapter differs by " + difference);
    if (mesh.tensor() == 1) {
      assertEquals(
          alone.sha256(), parts.sha256(), "stages and shares compute what a whole model computes");
    }
  }

  private static void close(double[] expected, double[] actual, double tolerance) {
    assertEquals(MeshJob.STEPS, actual.length);
    for (int i = 0; i < expected.length; i++) {
      assertEquals(expected[i], actual[i], tolerance * expected[i], "step " + (i + 1));
    }
  }

  private MeshJob.Run alone(String model, String quantization) throws Exception {
    String key = model + " " + quantization;
    MeshJob.Run run = ALONE.get(key);
    if (run == null) {
      String[] job = {
        "model.path=" + models.resolve(model), "model.quantization.type=" + quantization
      };
      run = new MeshJob(models, out.resolve("alone"), job).run(1);
      ALONE.put(key, run);
    }
    return run;
  }
}
