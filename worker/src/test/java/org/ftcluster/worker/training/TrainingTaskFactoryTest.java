package org.ftcluster.worker.training;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.protocol.job.JobSpecReader;
import org.ftcluster.protocol.job.JobSpecWriter;
import org.ftcluster.protocol.message.RankReport.TrainingResult;
import org.ftcluster.worker.collective.ListenAddress;
import org.ftcluster.worker.tensor.NativeException;
import org.ftcluster.worker.tensor.cuda.SimulatedDevice;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The sample job's own model, for a few steps. */
class TrainingTaskFactoryTest {
  private static final Path SAMPLE = Path.of("../deploy/samples/decompile");

  @TempDir private Path folder;

  @ParameterizedTest
  @ValueSource(strings = {"nf4", "none"})
  void aRealModelLearnsTheSameOnTwoWorkersAsOnOne(String quantization) throws Exception {
    List<String> sets =
        List.of(
            "model.quantization.type=" + quantization,
            "model.dtype=" + (quantization.equals("none") ? "float32" : "bfloat16"),
            "adapter.lora_dropout=0.1");
    TrainingResult alone = train(1, "alone", sets);
    TrainingResult pair = train(2, "pair", sets);
    assertEquals(0.6, alone.evalLossBefore(), 0.2);
    assertTrue(alone.evalLossAfter() < alone.evalLossBefore());
    assertEquals(alone.adapterSha256(), pair.adapterSha256());
    assertEquals(alone.evalLossBefore(), pair.evalLossBefore());
    assertEquals(alone.evalLossAfter(), pair.evalLossAfter());
  }

  @Test
  void whatIsWrongWithTheFilesIsTheJobsFault() throws IOException {
    assertBadJob("data.train.path", jsonl("{\"instruction\": \"x\"}\n"), "has no field output");
    assertBadJob("adapter.target_modules", "[no_such_layer]", "matches no layer");
    Path model = Files.createDirectory(folder.resolve("model"));
    for (String name : List.of("config.json", "tokenizer.json", "tokenizer_config.json")) {
      Files.copy(SAMPLE.resolve("base").resolve(name), model.resolve(name));
    }
    assertBadJob("model.path", model.toString(), "holds no weights");
  }

  @Test
  void aJobThatAsksForAGpuIsToldWhereThereIsNone() {
    NativeException why = new NativeException("no CUDA driver is installed (libcuda.so.1)");
    TrainingTaskFactory factory =
        new TrainingTaskFactory(
            Generation.DEADLINES,
            MachineMemory.total(),
            () -> {
              throw why;
            });
    String yaml = yaml("gpu", List.of("resources.device=cuda"));
    BadJobException e =
        assertThrows(
            BadJobException.class,
            () -> factory.create("job", yaml, ListenAddress.on("127.0.0.1")));
    assertEquals(
        "resources.device is cuda, but this worker has no GPU that can be used: no CUDA driver is"
            + " installed (libcuda.so.1)",
        e.getMessage());
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2})
  void aGpuIsGivenBackOnceWhereTheJobIsWrong(int tensor) throws IOException {
    SimulatedDevice gpu = SimulatedDevice.open();
    TrainingTaskFactory factory =
        new TrainingTaskFactory(
            Generation.DEADLINES, MachineMemory.total(), () -> new SimulatedGpu(gpu));
    Path model = Files.createDirectory(folder.resolve("base"));
    for (String name : List.of("tokenizer.json", "tokenizer_config.json", "model.safetensors")) {
      Files.copy(SAMPLE.resolve("base").resolve(name), model.resolve(name));
    }
    String config = Files.readString(SAMPLE.resolve("base/config.json"));
    Files.writeString(
        model.resolve("config.json"),
        config.replaceAll("\"intermediate_size\": \\d+", "\"intermediate_size\": 64"));
    String yaml =
        yaml(
            "misfit",
            List.of("model.path=" + model, "resources.device=cuda", "parallel.tensor=" + tensor));
    assertThrows(
        BadJobException.class,
        () -> {
          try (RankTask task = factory.create("job", yaml, ListenAddress.on("127.0.0.1"))) {
            task.take(0, tensor); // where a part is loaded
          }
        });
    assertTrue(gpu.isClosed());
  }

  /** A simulated one, which takes a second for what a GPU does in no time. */
  @Test
  void aJobLearnsOnAGpuWhatItLearnsOnACpu() throws Exception {
    SimulatedGpu gpu = SimulatedGpu.open();
    String sample = jsonl("{\"instruction\": \"f: ret\", \"output\": \"void f() {}\"}\n");
    List<String> sets =
        List.of(
            "model.dtype=float32",
            "data.train.path=" + sample,
            "data.eval.path=" + sample,
            "training.max_steps=1",
            "training.warmup_ratio=0",
            "training.global_batch_size=1");
    TrainingResult expected = train(1, "cpu", sets);
    List<String> onGpu = new ArrayList<>(sets);
    onGpu.add("resources.device=cuda");
    TrainingTaskFactory factory =
        new TrainingTaskFactory(Generation.DEADLINES, MachineMemory.total(), () -> gpu);
    TrainingResult actual = train(factory, 1, "gpu", onGpu);
    assertEquals(expected.evalLossBefore(), actual.evalLossBefore(), 1e-4);
    assertEquals(expected.evalLossAfter(), actual.evalLossAfter(), 1e-4);
    assertTrue(actual.evalLossAfter() < actual.evalLossBefore());
  }

  private void assertBadJob(String key, String value, String message) {
    String yaml = yaml("bad", List.of(key + "=" + value));
    BadJobException e =
        assertThrows(
            BadJobException.class,
            () -> new TrainingTaskFactory().create("job", yaml, ListenAddress.on("127.0.0.1")));
    assertTrue(String.valueOf(e.getMessage()).contains(message), e.getMessage());
  }

  private TrainingResult train(int size, String name, List<String> sets) throws Exception {
    return train(
        new TrainingTaskFactory(Generation.DEADLINES, MachineMemory.total(), false),
        size,
        name,
        sets);
  }

  private TrainingResult train(
      TrainingTaskFactory factory, int size, String name, List<String> sets) throws Exception {
    List<RankTask> tasks = new ArrayList<>();
    try {
      for (int rank = 0; rank < size; rank++) {
        tasks.add(factory.create("job", yaml(name, sets), ListenAddress.on("127.0.0.1")));
      }
      Generation generation = new Generation(1, tasks).run(-1);
      for (RuntimeException failure : generation.failures) {
        if (failure != null) {
          throw failure;
        }
      }
      return Objects.requireNonNull(generation.result);
    } finally {
      tasks.forEach(RankTask::close);
    }
  }

  private String yaml(String name, List<String> more) {
    List<String> sets =
        new ArrayList<>(
            List.of(
                "checkpoint.path=" + folder.resolve(name),
                "data.train.path=eval.jsonl",
                "data.eval.path=" + jsonl(firstLines(4)),
                "data.max_length=256",
                "training.max_steps=2",
                "training.global_batch_size=4",
                "training.micro_batch_size=1"));
    sets.addAll(more);
    return JobSpecWriter.toYaml(JobSpecReader.read(SAMPLE.resolve("job.yaml"), sets));
  }

  private static String firstLines(int count) {
    try {
      String[] lines = Files.readString(SAMPLE.resolve("eval.jsonl")).split("\n", count + 1);
      return String.join("\n", Arrays.copyOf(lines, count)) + "\n";
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private String jsonl(String text) {
    try {
      Path file = folder.resolve(Integer.toHexString(text.hashCode()) + ".jsonl");
      return Files.writeString(file, text).toString();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
