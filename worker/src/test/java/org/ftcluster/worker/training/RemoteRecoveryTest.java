package org.ftcluster.worker.training;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.IntStream;
import org.ftcluster.worker.checkpoint.CheckpointException;
import org.ftcluster.worker.checkpoint.storage.S3Server;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** A job whose checkpoints and results go to S3. */
class RemoteRecoveryTest extends SmallJob {
  private static final String PREFIX = "runs/7/";
  private S3Server server;

  @BeforeEach
  void start() {
    server = new S3Server();
  }

  @AfterEach
  void stop() {
    server.close();
  }

  @Test
  void allThatAJobLeavesIsInStorage() throws Exception {
    Generation generation = new Generation(1, remoteTasks(1, out)).run(-1);
    assertSameAsUndisturbed(generation, out);
    assertTrue(
        generation.notes.contains("Results copied to s3://bucket/runs/7/."),
        generation.notes.toString());
    for (String name :
        List.of(
            "adapter/adapter_config.json",
            "adapter/adapter_model.safetensors",
            "job.yaml",
            "metrics.jsonl",
            "samples.jsonl",
            "step-8/checkpoint.json",
            "step-12/checkpoint.json",
            "step-12/state.safetensors")) {
      assertEquals(-1, Files.mismatch(out.resolve(name), copy(name)), name);
    }
    assertTrue(server.keys().stream().noneMatch(key -> key.contains("step-4/")));
  }

  @Test
  void otherMachinesGoOnFromStorageAlone() throws Exception {
    new Generation(1, remoteTasks(2, out)).stopAfterStep(10).run(-1);
    Path elsewhere = out.resolve("on other machines");
    Generation second = new Generation(2, remoteTasks(3, elsewhere)).run(-1);
    assertEquals(List.of(8L, 8L, 8L), second.started);
    assertSameAsUndisturbed(second, elsewhere);
  }

  @Test
  void aSurvivorWritesTheLinesOfAPredecessorWhoseDiskIsGone() throws Exception {
    // Each has a folder of its own, as machines that share none do.
    TrainingTask first = remoteTasks(1, out.resolve("first")).getFirst();
    TrainingTask second = remoteTasks(1, out.resolve("second")).getFirst();
    new Generation(1, List.of(first, second)).stopAfterStep(6).run(-1);
    TrainingTask third = remoteTasks(1, out.resolve("third")).getFirst();
    Generation without = new Generation(2, List.of(second, third)).stopAfterStep(10).run(0);
    assertEquals(2, sizeOf(without.failures));

    // The third remembers the steps since it came; those before are in storage.
    assertSameAsUndisturbed(new Generation(3, List.of(third)).run(0), out.resolve("third"));
  }

  @Test
  void trainingGoesOnWhileStorageFails() throws Exception {
    server.refuse(key -> key.contains("step-4/"));
    Generation generation = new Generation(1, remoteTasks(2, out)).run(-1);
    assertSameAsUndisturbed(generation, out);
    assertTrue(server.refused() > 1, "an upload is tried again");
    assertTrue(
        generation.notes.stream()
            .anyMatch(
                note ->
                    note.startsWith("s3://bucket/runs/7/step-4: can't be saved: ")
                        && note.endsWith(" Training goes on.")),
        generation.notes.toString());
    assertTrue(server.keys().contains(PREFIX + "step-12/checkpoint.json"));
  }

  @Test
  void aJobIsNotDoneBeforeItsResultsAreInStorage() throws Exception {
    server.refuse(key -> key.contains("adapter"));
    List<TrainingTask> one = remoteTasks(1, out);
    Generation first = new Generation(1, one).run(-1);
    assertInstanceOf(CheckpointException.class, first.failures.getFirst());
    assertNull(first.result);

    server.refuse(key -> false);
    assertSameAsUndisturbed(new Generation(2, one).run(0), out);
    assertTrue(server.keys().contains(PREFIX + "adapter/adapter_model.safetensors"));
  }

  private List<TrainingTask> remoteTasks(int count, Path folder) {
    return IntStream.range(0, count)
        .mapToObj(
            i ->
                keep(
                    task(
                        spec(
                            folder,
                            "checkpoint.remote=s3://bucket/runs/7",
                            "checkpoint.endpoint=" + server.endpoint()),
                        () -> {})))
        .toList();
  }

  private Path copy(String name) throws Exception {
    return Files.write(out.resolve("copy"), server.read(PREFIX + name));
  }
}
