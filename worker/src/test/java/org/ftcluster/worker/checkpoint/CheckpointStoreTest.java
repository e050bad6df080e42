package org.ftcluster.worker.checkpoint;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.message.RankReport.StepMetrics;
import org.ftcluster.worker.checkpoint.storage.Storage;
import org.ftcluster.worker.collective.CollectiveException;
import org.ftcluster.worker.model.ParameterBuffer;
import org.ftcluster.worker.safetensors.SafetensorsWriter;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CheckpointStoreTest {
  private static final JobIdentity JOB = new JobIdentity(Map.of("training.seed", "42"));
  private static final JobIdentity OTHER = new JobIdentity(Map.of("training.seed", "7"));
  private static final StepMetrics LAST = new StepMetrics(1, 0.5, 2.5, 1, 1e-3, 10, 2, 99, 2, 3);

  @TempDir private Path root;
  private ParameterBuffer parameters;
  private TrainingState state;
  private final List<String> warnings = new ArrayList<>();

  @BeforeEach
  void givenAState() {
    parameters =
        new ParameterBuffer(
            List.of(
                new ParameterBuffer.Slice("a", new long[] {2, 3}, 0),
                new ParameterBuffer.Slice("b", new long[] {4}, 6)));
    state = new TrainingState(parameters);
  }

  @AfterEach
  void free() {
    state.close();
    parameters.close();
  }

  @Test
  void whatIsSavedIsReadBack() {
    reach(7);
    Path folder = save(store(3));
    assertEquals(root.resolve("step-7"), folder);
    float[][] saved = values();
    reach(8);
    assertEquals(Optional.of(folder), store(3).readNewest(state, warnings::add));
    assertEquals(new Progress(7, 1.5, List.of(), 70, 700, 7.25, null), state.progress());
    assertArrayEquals(saved, values());
  }

  @Test
  void theBestThatIsKeptStaysWhereThatIsAskedFor() throws IOException {
    Path away = Files.createDirectory(root.resolve("away"));
    Storage storage =
        Storage.of(
            away.toString(),
            new JobSpec.Checkpoint(root, 0, 1, false, away.toString(), null, null));
    try (CheckpointStore best =
        TestCheckpoints.in(root.resolve("here"), JOB, new Retention(1, true), storage)) {
      Progress progress = Progress.NONE;
      for (double loss : new double[] {0.9, 0.7, 0.8, 0.65}) {
        long step = progress.step() + 1;
        progress =
            new Progress(step, 1.5, progress.evaluations(), step, step, step, null)
                .withEvalLoss(loss, loss / 2, loss == 0.7);
        state.completed(progress);
        save(best);
      }
      for (Path place : List.of(root.resolve("here"), away)) {
        assertTrue(Files.exists(place.resolve("step-2/checkpoint.json")));
        assertTrue(Files.exists(place.resolve("step-4/checkpoint.json")));
        assertFalse(Files.exists(place.resolve("step-1/checkpoint.json")));
        assertFalse(Files.exists(place.resolve("step-3/checkpoint.json")));
      }
      try (CheckpointStore.Found found =
          best.open(2, parameters.slices(), warnings::add).orElseThrow()) {
        assertEquals(progress.evaluations().subList(0, 2), found.state().progress().evaluations());
      }
      assertEquals(Optional.empty(), best.open(3, parameters.slices(), warnings::add));
    }
  }

  @Test
  void withoutEvaluationTheLossBeforeStaysUnknown() {
    state.completed(new Progress(1, Double.NaN, List.of(), 1, 1, 1, LAST));
    save(store(1));
    store(1).readNewest(state, warnings::add);
    assertEquals(new Progress(1, Double.NaN, List.of(), 1, 1, 1, LAST), state.progress());
  }

  @Test
  void anEmptyOrMissingFolderHoldsNone() {
    assertEquals(Optional.empty(), store(1).readNewest(state, warnings::add));
    assertEquals(
        Optional.empty(),
        TestCheckpoints.in(root.resolve("missing"), JOB, 1, false)
            .readNewest(state, warnings::add));
    assertEquals(-1, state.completedStep());
  }

  @Test
  void onlyTheNewestStay() throws IOException {
    for (long step : new long[] {8, 9, 10, 100}) {
      reach(step);
      save(store(2));
    }
    assertEquals(List.of("step-10", "step-100"), names());
  }

  @Test
  void brokenOnesArePassedOver() throws IOException {
    for (long step = 1; step <= 5; step++) {
      reach(step);
      save(store(9));
    }
    truncate(root.resolve("step-5/state.safetensors"));
    flipLastByte(root.resolve("step-4/state.safetensors"));
    Files.delete(root.resolve("step-3/checkpoint.json"));
    Files.writeString(root.resolve("step-2/checkpoint.json"), "{\"format\": 1");
    Files.createDirectory(root.resolve("step-6"));
    Files.createDirectory(root.resolve("step-7.partial"));
    assertEquals(Optional.of(root.resolve("step-1")), store(9).readNewest(state, warnings::add));
    assertEquals(5, warnings.size());
    String path = root + "/";
    assertTrue(
        warnings.get(1).endsWith(path + "step-5/state.safetensors: holds 272 bytes, not 544."));
    assertTrue(warnings.get(2).endsWith(path + "step-4/state.safetensors: its checksum is wrong."));
  }

  @Test
  void aWriterThatWakesUpDisturbsNothingOfItsSuccessors() throws IOException {
    List<Path> successors = new ArrayList<>();
    CheckpointStore paused =
        store(
            9,
            (target, tensors, metadata) -> {
              SafetensorsWriter.write(target, tensors, metadata);
              if (successors.isEmpty()) {
                // Others go on meanwhile, and are in the midst of the same step's.
                Fence.claim(root, "job", 2);
                successors.add(Files.createDirectory(root.resolve("step-1.g2.partial")));
              }
            });
    paused.guardedBy(Fence.claim(root, "job", 1));
    reach(1);
    assertThrows(CollectiveException.class, () -> save(paused));

    assertTrue(Files.exists(successors.getFirst()));
    CheckpointStore another = store(9);
    another.guardedBy(Fence.claim(root, "job", 3));
    save(another);
    assertEquals(
        List.of("generation.json", "step-1"), names(), "what those before have left is removed");
  }

  @Test
  void aFullDiskLeavesThePreviousOneWhole() throws IOException {
    reach(1);
    save(store(1));
    reach(2);
    CheckpointStore full =
        store(
            1,
            (target, tensors, metadata) -> {
              SafetensorsWriter.write(target, tensors, metadata);
              truncate(target);
              throw new IOException("No space left on device");
            });
    CheckpointException e = assertThrows(CheckpointException.class, () -> save(full));
    assertTrue(
        e.getMessage()
            .endsWith(
                "step-2: can't be saved: No space left on device; the checkpoints before it are untouched."),
        e.getMessage());
    assertEquals(List.of("step-1"), names());
    assertEquals(2, state.completedStep());
    assertEquals(Optional.of(root.resolve("step-1")), store(1).readNewest(state, warnings::add));
  }

  @Test
  void anotherJobsAreNeitherUsedNorReplaced() throws IOException {
    reach(50);
    save(store(3));
    CheckpointStore other = store(OTHER, 3, false);
    BadJobException e =
        assertThrows(BadJobException.class, () -> other.readNewest(state, warnings::add));
    assertEquals(
        "checkpoint.path: %s is a checkpoint of another job (training.seed is 7 here and 42 there); give this job a place of its own, or checkpoint.overwrite: true, which begins anew and replaces what is there."
            .formatted(root.resolve("step-50")),
        e.getMessage());
    reach(10);
    save(other);
    assertEquals(List.of("step-10", "step-50"), names());
  }

  @Test
  void anotherJobsMakeRoomWhereTheyMayBeOverwritten() throws IOException {
    reach(50);
    save(store(3));
    CheckpointStore other = store(OTHER, 3, true);
    assertEquals(Optional.empty(), other.readNewest(state, warnings::add));
    assertEquals(
        List.of(root.resolve("step-50") + " is of another job, and will be replaced."), warnings);
    assertEquals(List.of("step-50"), names());
    reach(10);
    save(other);
    assertEquals(List.of("step-10"), names());
  }

  @Test
  void aCheckpointHoldsTheLogsUpToItsStep() throws IOException {
    Path metrics = root.resolve("metrics.jsonl");
    Files.writeString(metrics, "{\"step\":1}\n{\"step\":2}\n");
    reach(1);
    try (Snapshot copy = Snapshot.copyOf(state)) {
      store(1).save(copy, List.of(new LogFile(metrics, 11)));
    }
    assertEquals("{\"step\":1}\n", Files.readString(root.resolve("step-1/metrics.jsonl")));
  }

  @Test
  void savingAStepAgainReplacesItsCheckpoint() {
    reach(3);
    save(store(2));
    MemorySegment values = parameters.values();
    values.setAtIndex(ValueLayout.JAVA_FLOAT, 0, -1);
    save(store(2));
    values.setAtIndex(ValueLayout.JAVA_FLOAT, 0, 5);
    store(2).readNewest(state, warnings::add);
    assertEquals(-1, values.getAtIndex(ValueLayout.JAVA_FLOAT, 0));
  }

  @Test
  void aCrashBetweenTheRenamesOfAReplacementLosesNothing() throws IOException {
    reach(3);
    save(store(1));
    Files.move(root.resolve("step-3"), root.resolve("step-3.replaced"));
    assertEquals(
        Optional.of(root.resolve("step-3.replaced")), store(1).readNewest(state, warnings::add));
    save(store(1));
    assertEquals(List.of("step-3"), names());
  }

  @Test
  void foldersThatAreNotCheckpointsStay() throws IOException {
    Path notes = Files.createDirectory(root.resolve("step-notes"));
    Files.writeString(root.resolve("step-1"), "a file");
    reach(2);
    save(store(1));
    assertTrue(Files.exists(notes));
    assertEquals(List.of("step-1", "step-2", "step-notes"), names());
  }

  @Test
  void aCheckpointOfOtherShapesIsNotReadHalfway() {
    reach(2);
    save(store(1));
    try (ParameterBuffer wider =
            new ParameterBuffer(List.of(new ParameterBuffer.Slice("a", new long[] {3, 3}, 0)));
        TrainingState other = new TrainingState(wider)) {
      assertEquals(Optional.empty(), store(1).readNewest(other, warnings::add));
      assertEquals(-1, other.completedStep());
    }
    assertFalse(state.completedStep() < 0);
  }

  private CheckpointStore store(int keep) {
    return store(JOB, keep, false);
  }

  private CheckpointStore store(JobIdentity job, int keep, boolean overwrite) {
    return TestCheckpoints.in(root, job, keep, overwrite);
  }

  private CheckpointStore store(int keep, Checkpoint.TensorWriter writer) {
    return TestCheckpoints.in(root, JOB, keep, false, writer);
  }

  private Path save(CheckpointStore store) {
    try (Snapshot copy = Snapshot.copyOf(state)) {
      return store.save(copy, List.of());
    }
  }

  private void reach(long step) {
    for (MemorySegment buffer : state.buffers()) {
      for (long i = 0; i < parameters.size(); i++) {
        buffer.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) (step + i + buffer.address() % 1000));
      }
    }
    state.completed(new Progress(step, 1.5, List.of(), 10 * step, 100 * step, step + 0.25, null));
  }

  private float[][] values() {
    return state.buffers().stream()
        .map(buffer -> buffer.toArray(ValueLayout.JAVA_FLOAT))
        .toArray(float[][]::new);
  }

  private List<String> names() throws IOException {
    try (Stream<Path> files = Files.list(root)) {
      return files.map(file -> file.getFileName().toString()).sorted().toList();
    }
  }

  private static void truncate(Path file) throws IOException {
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
      channel.truncate(channel.size() / 2);
    }
  }

  private static void flipLastByte(Path file) throws IOException {
    byte[] bytes = Files.readAllBytes(file);
    bytes[bytes.length - 1] ^= 1;
    Files.write(file, bytes);
  }
}
