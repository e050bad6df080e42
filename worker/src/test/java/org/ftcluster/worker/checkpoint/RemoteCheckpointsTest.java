package org.ftcluster.worker.checkpoint;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.worker.checkpoint.storage.S3Server;
import org.ftcluster.worker.checkpoint.storage.Storage;
import org.ftcluster.worker.model.ParameterBuffer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Checkpoints in S3, when the node's own folder is there, and when it is gone. */
class RemoteCheckpointsTest {
  private static final JobIdentity JOB = new JobIdentity(Map.of("training.seed", "42"));
  private static final String STATE = "state.safetensors";

  @TempDir private Path folder;
  private S3Server server;
  private final ParameterBuffer parameters =
      new ParameterBuffer(List.of(new ParameterBuffer.Slice("a", new long[] {100}, 0)));
  private final TrainingState state = new TrainingState(parameters);
  private final List<String> warnings = new ArrayList<>();

  @BeforeEach
  void start() {
    server = new S3Server();
  }

  @AfterEach
  void free() {
    server.close();
    state.close();
    parameters.close();
  }

  @Test
  void aNodeWhoseFolderIsGoneReadsWhatIsInStorage() throws IOException {
    Path log = Files.writeString(folder.resolve("metrics.jsonl"), "{\"step\":1}\n");
    try (CheckpointStore store = store(folder, JOB, 3);
        Snapshot copy = reach(1)) {
      store.save(copy, List.of(new LogFile(log, Files.size(log))));
    }
    assertEquals(
        List.of(
            "runs/7/metrics.jsonl",
            "runs/7/step-1/checkpoint.json",
            "runs/7/step-1/metrics.jsonl",
            "runs/7/step-1/state.safetensors"),
        server.keys());

    Path elsewhere = folder.resolve("elsewhere");
    assertEquals(Optional.of(elsewhere.resolve("step-1")), read(elsewhere));
    assertEquals(1, state.completedStep());
    assertEquals(1f, parameters.values().getAtIndex(ValueLayout.JAVA_FLOAT, 99));
    assertEquals("{\"step\":1}\n", Files.readString(elsewhere.resolve("step-1/metrics.jsonl")));
    assertEquals(List.of(), warnings);
  }

  @Test
  void theNewestCountsWhereverItIs() throws IOException {
    Path here = folder.resolve("here");
    Path there = folder.resolve("there");
    save(here, 1);
    save(there, 2);
    assertEquals(Optional.of(here.resolve("step-2")), read(here));
    reach(3).close();
    try (CheckpointStore offline = TestCheckpoints.in(here, JOB, 3, false);
        Snapshot copy = reach(3)) {
      offline.save(copy, List.of());
    }
    assertEquals(Optional.of(here.resolve("step-3")), read(here));
  }

  @Test
  void onlyTheNewestStay() {
    for (long step : new long[] {8, 9, 10, 100}) {
      save(folder, step, 2);
    }
    assertEquals(
        List.of(
            "runs/7/step-10/checkpoint.json",
            "runs/7/step-10/state.safetensors",
            "runs/7/step-100/checkpoint.json",
            "runs/7/step-100/state.safetensors"),
        server.keys());
  }

  @Test
  void anUploadThatWasCutShortIsNoCheckpoint() {
    save(folder, 1);
    server.refuse(key -> key.endsWith("step-2/checkpoint.json"));
    CheckpointException e = assertThrows(CheckpointException.class, () -> save(folder, 2));
    assertTrue(
        e.getMessage().startsWith("s3://bucket/runs/7/step-2: can't be saved: "), e.getMessage());
    assertTrue(
        e.getMessage()
            .endsWith(
                "; %s is whole, and the checkpoints before it are untouched."
                    .formatted(folder.resolve("step-2"))),
        e.getMessage());
    assertTrue(server.keys().contains("runs/7/step-2/" + STATE));
    assertEquals(1, readElsewhere());
    assertEquals(Optional.of(folder.resolve("step-2")), read(folder));

    server.refuse(key -> false);
    save(folder, 3);
    assertTrue(server.keys().stream().noneMatch(key -> key.contains("step-2/")));
  }

  @Test
  void anUploadThatReplacesAnotherIsNoCheckpointUntilItIsDone() {
    save(folder, 1);
    save(folder, 2);
    server.refuse(key -> key.endsWith("step-2/" + STATE));
    assertThrows(CheckpointException.class, () -> save(folder, 2));
    assertEquals(1, readElsewhere());
  }

  @Test
  void brokenOnesArePassedOver() {
    for (long step = 1; step <= 4; step++) {
      save(folder, step, 9);
    }
    byte[] bytes = server.read("runs/7/step-4/" + STATE);
    bytes[bytes.length - 1] ^= 1;
    server.write("runs/7/step-4/" + STATE, bytes);
    server.write("runs/7/step-3/" + STATE, new byte[7]);
    server.write("runs/7/step-2/checkpoint.json", new byte[] {'{'});
    assertEquals(1, readElsewhere());
    String s3 = "A broken checkpoint is passed over: s3://bucket/runs/7/";
    assertEquals(s3 + "step-4/state.safetensors: its checksum is wrong.", warnings.get(0));
    assertTrue(warnings.get(1).startsWith(s3 + "step-3/state.safetensors: holds 7 bytes, not "));
    assertEquals(s3 + "step-2/checkpoint.json: is no valid JSON.", warnings.get(2));
  }

  @Test
  void aFileThatIsMissingMakesItBroken() {
    save(folder, 1);
    save(folder, 2);
    server.delete("runs/7/step-2/" + STATE);
    assertEquals(1, readElsewhere());
    assertEquals(
        List.of(
            "A broken checkpoint is passed over: s3://bucket/runs/7/step-2/state.safetensors: is missing."),
        warnings);
  }

  @Test
  void anotherJobsAreRefused() throws IOException {
    save(folder, 5);
    JobIdentity other = new JobIdentity(Map.of("training.seed", "7"));
    try (CheckpointStore store = store(folder.resolve("elsewhere"), other, 3)) {
      BadJobException e =
          assertThrows(BadJobException.class, () -> store.readNewest(state, warnings::add));
      assertTrue(
          e.getMessage()
              .startsWith(
                  "checkpoint.remote: s3://bucket/runs/7/step-5 is a checkpoint of another job (training.seed is 7 here and 42 there); "),
          e.getMessage());
      try (Snapshot copy = reach(9)) {
        store.save(copy, List.of());
      }
    }
    assertTrue(server.keys().contains("runs/7/step-5/checkpoint.json"));
  }

  @Test
  void storageThatIsNotThereIsSaidInOneSentence() {
    try (CheckpointStore store = store("s3://bucket/runs", "http://127.0.0.1:1")) {
      CheckpointException e =
          assertThrows(CheckpointException.class, () -> store.readNewest(state, warnings::add));
      assertEquals(
          "checkpoint.remote: s3://bucket/runs/: http://127.0.0.1:1 can't be reached: Connection refused.",
          e.getMessage());
    }
    try (CheckpointStore store = store("s3://no-such-bucket", server.endpoint())) {
      BadJobException e =
          assertThrows(BadJobException.class, () -> store.readNewest(state, warnings::add));
      assertEquals(
          "checkpoint.remote: s3://no-such-bucket/: there is no bucket no-such-bucket at %s."
              .formatted(server.endpoint()),
          e.getMessage());
    }
  }

  private void save(Path local, long step) {
    save(local, step, 3);
  }

  private void save(Path local, long step, int keep) {
    try (CheckpointStore store = store(local, JOB, keep);
        Snapshot copy = reach(step)) {
      store.save(copy, List.of());
    }
  }

  private Optional<Path> read(Path local) {
    try (CheckpointStore store = store(local, JOB, 3)) {
      return store.readNewest(state, warnings::add);
    }
  }

  /** The step that a new node reads. */
  private long readElsewhere() {
    read(folder.resolve("elsewhere"));
    return state.completedStep();
  }

  private CheckpointStore store(Path local, JobIdentity job, int keep) {
    return TestCheckpoints.in(local, job, keep, storage("s3://bucket/runs/7", server.endpoint()));
  }

  private CheckpointStore store(String remote, String endpoint) {
    return TestCheckpoints.in(folder, JOB, 3, storage(remote, endpoint));
  }

  private Storage storage(String remote, String endpoint) {
    return Storage.of(remote, new JobSpec.Checkpoint(folder, 0, 3, false, remote, endpoint, null));
  }

  private Snapshot reach(long step) {
    for (MemorySegment buffer : state.buffers()) {
      for (long i = 0; i < parameters.size(); i++) {
        buffer.setAtIndex(ValueLayout.JAVA_FLOAT, i, step);
      }
    }
    state.completed(new Progress(step, 1.5, List.of(), step, step, step, null));
    return Snapshot.copyOf(state);
  }
}
