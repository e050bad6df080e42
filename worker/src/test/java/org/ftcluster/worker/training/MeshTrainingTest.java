package org.ftcluster.worker.training;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Ten steps of a model in parts are ten steps of the model on one rank. */
class MeshTrainingTest {

  @TempDir static Path models;
  private static final Map<String, MeshJob.Run> ALONE = new HashMap<>();

  @TempDir Path out;

  @BeforeAll
  static void writeModels() throws IOException {
    MeshJob.writeFiles(models);
  }

  /** A pipeline of 2x2 has two stages of two chunks. */
  @ParameterizedTest
  @CsvSource({
    "llama, none, 1, 2, 1, none",
    "llama, none, 1, 4, 1, none",
    "llama, none, 1, 1, 2, none",
    "llama, none, 1, 1, 4, none",
    "llama, none, 1, 1, 2x2, none",
    "llama, none, 1, 2, 2, none",
    "llama, none, 2, 2, 1, none",
    "llama, none, 2, 1, 2, none",
    "llama, none, 2, 1, 1, zero1",
    "llama, none, 4, 1, 1, zero1",
    "llama, none, 2, 1, 1, zero2",
    "llama, none, 4, 1, 1, zero2",
    "llama, none, 2, 1, 1, zero3",
    "llama, none, 4, 1, 1, zero3",
    "llama, none, 2, 2, 1, zero3",
    "llama, none, 2, 1, 2, zero2",
    "llama, none, 2, 1, 2x2, zero3",
    "qwen2, none, 1, 2, 1, none",
    "qwen2, none, 1, 4, 1, none",
    "qwen2, none, 1, 1, 2, none",
    "qwen2, none, 1, 1, 4, none",
    "qwen2, none, 1, 1, 2x2, none",
    "qwen2, none, 1, 2, 2, none",
    "qwen2, none, 2, 2, 1, none",
    "qwen2, none, 2, 1, 2, none",
    "qwen2, none, 2, 1, 1, zero1",
    "qwen2, none, 4, 1, 1, zero1",
    "qwen2, none, 2, 1, 1, zero2",
    "qwen2, none, 4, 1, 1, zero2",
    "qwen2, none, 2, 1, 1, zero3",
    "qwen2, none, 4, 1, 1, zero3",
    "qwen2, none, 2, 2, 1, zero3",
    "qwen2, none, 1, 2, 2, zero2",
    "qwen2, none, 2, 1, 2, zero3",
    "llama, nf4, 1, 2, 1, none",
    "qwen2, nf4, 1, 4, 1, none",
    "llama, nf4, 1, 1, 2, none",
    "qwen2, nf4, 1, 1, 4, none",
    "llama, nf4, 1, 1, 2x2, none",
    "qwen2, nf4, 1, 2, 2, none",
    "llama, nf4, 2, 2, 1, none",
    "qwen2, nf4, 2, 1, 2, none",
    "llama, nf4, 2, 1, 1, zero1",
    "qwen2, nf4, 4, 1, 1, zero1",
    "llama, nf4, 2, 1, 1, zero2",
    "qwen2, nf4, 4, 1, 1, zero2",
    "llama, nf4, 2, 1, 1, zero3",
    "qwen2, nf4, 4, 1, 1, zero3",
    "llama, nf4, 2, 2, 1, zero3",
    "llama, nf4, 2, 1, 2, zero3",
    "qwen2, nf4, 1, 2, 2x2, zero1"
  })
  void aMeshLearnsWhatOneRankLearns(
      String model, String quantization, int data, int tensor, String pipeline, String sharding)
      throws Exception {
    int stages = Character.digit(pipeline.charAt(0), 10);
    int chunks = pipeline.length() == 1 ? 1 : Character.digit(pipeline.charAt(2), 10);
    String[] job = {
      "model.path=" + models.resolve(model),
      "model.quantization.type=" + quantization,
      "parallel.tensor=" + tensor,
      "parallel.pipeline=" + stages,
      "parallel.interleave=" + chunks,
      "parallel.sharding=" + sharding
    };
    MeshJob.Run alone = alone(model, quantization);
    MeshJob.Run mesh = new MeshJob(models, out, job).run(data * tensor * stages);

    double tolerance = quantization.equals("none") ? 1e-5 : 1e-3;
    close(alone.losses(), mesh.losses(), tolerance);
    close(alone.norms(), mesh.norms(), tolerance);
    assertEquals(alone.evalLossBefore(), mesh.evalLossBefore(), tolerance * alone.evalLossBefore());
    assertEquals(alone.evalLossAfter(), mesh.evalLossAfter(), tolerance * alone.evalLossAfter());
    assertEquals(alone.adapter().keySet(), mesh.adapter().keySet());
    double squares = 0;
    double size = 0;
    for (String name : alone.adapter().keySet()) {
      float[] values = alone.adapter().get(name);
      squares += squaredDistance(values, mesh.adapter().get(name));
      size += squaredDistance(values, new float[values.length]);
    }
    double difference = Math.sqrt(squares / size);
    assertTrue(difference <= tolerance, "the adapter differs by " + difference);
    if (tensor == 1) {
      assertEquals(
          alone.sha256(), mesh.sha256(), "stages and shares compute what a whole model computes");
    }
  }

  private static void close(double[] expected, double[] actual, double tolerance) {
    assertEquals(MeshJob.STEPS, actual.length);
    for (int i = 0; i < expected.length; i++) {
      assertEquals(expected[i], actual[i], tolerance * expected[i], "step " + (i + 1));
    }
  }

  private static double squaredDistance(float[] a, float[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += ((double) a[i] - b[i]) * ((double) a[i] - b[i]);
    }
    return sum;
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
