package org.ftcluster.worker.checkpoint;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.Stream;
import org.ftcluster.worker.checkpoint.CheckpointWriter.Patience;
import org.ftcluster.worker.collective.CollectiveException;
import org.ftcluster.worker.model.FloatSource;
import org.ftcluster.worker.model.ParameterBuffer;
import org.ftcluster.worker.safetensors.SafetensorsWriter;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Training goes on while a checkpoint is written; the disk is as slow as a test wants it. */
class CheckpointWriterTest {
  private static final JobIdentity JOB = new JobIdentity(Map.of());
  private static final Patience PATIENCE = new Patience(Duration.ofSeconds(30), () -> {});
  private static final Patience NONE = new Patience(Duration.ZERO, () -> {});

  @TempDir private Path root;
  private final CountDownLatch disk = new CountDownLatch(1);
  private final BlockingQueue<String> heard = new LinkedBlockingQueue<>();
  private final ParameterBuffer parameters =
      new ParameterBuffer(List.of(new ParameterBuffer.Slice("a", new long[] {100}, 0)));
  private final TrainingState state = new TrainingState(parameters);
  private CheckpointWriter writer;

  private final CheckpointWriter.Listener listener =
      new CheckpointWriter.Listener() {
        @Override
        public void saved(long step, Path folder) {
          heard.add("saved " + root.relativize(folder));
        }

        @Override
        public void failed(long step, String reason) {
          heard.add("failed " + reason);
        }
      };

  @BeforeEach
  void givenADiskThatWaits() {
    writer =
        new CheckpointWriter(
            TestCheckpoints.in(
                root,
                JOB,
                3,
                false,
                (target, tensors, metadata) -> {
                  awaitDisk();
                  SafetensorsWriter.write(target, tensors, metadata);
                }));
  }

  @AfterEach
  void free() {
    disk.countDown();
    writer.await(PATIENCE);
    writer.close();
    state.close();
    parameters.close();
  }

  @Test
  void whatTrainingDoesMeanwhileIsNotInTheCheckpoint() throws Exception {
    reach(1);
    writer.begin(Snapshot.copyOf(state), List.of(), listener, PATIENCE);
    reach(2);
    assertTrue(heard.isEmpty());
    disk.countDown();
    assertEquals("saved step-1", heard.poll(30, TimeUnit.SECONDS));

    assertEquals(Optional.of(root.resolve("step-1")), read());
    assertEquals(1, state.completedStep());
    for (MemorySegment buffer : state.buffers()) {
      assertEquals(1f, buffer.getAtIndex(ValueLayout.JAVA_FLOAT, 99));
    }
  }

  @Test
  void theNextOneWaitsForTheOneBefore() throws Exception {
    reach(1);
    writer.begin(Snapshot.copyOf(state), List.of(), listener, PATIENCE);
    reach(2);
    CheckpointException e =
        assertThrows(
            CheckpointException.class,
            () -> writer.begin(Snapshot.copyOf(state), List.of(), listener, NONE));
    assertEquals(
        "The checkpoint of step 1 is still being written after another 0 s: the place it goes to is too slow, or stuck.",
        e.getMessage());
    disk.countDown();
    writer.begin(Snapshot.copyOf(state), List.of(), listener, PATIENCE);
    writer.await(PATIENCE);
    assertEquals(List.of("saved step-1", "saved step-2"), List.copyOf(heard));
  }

  @Test
  void theLastOneIsThereWhenTheCallReturnsAndSoIsTheOneBefore() throws IOException {
    reach(1);
    writer.begin(Snapshot.copyOf(state), List.of(), listener, PATIENCE);
    Runnable firstLook = disk::countDown; // nothing is written before somebody waits for it
    reach(2);
    Path last = writer.save(state, List.of(), new Patience(Duration.ofSeconds(30), firstLook));
    assertEquals(root.resolve("step-2"), last);
    assertEquals(List.of("step-1", "step-2"), names());
  }

  @Test
  void aStopEndsTheWait() {
    reach(1);
    writer.begin(Snapshot.copyOf(state), List.of(), listener, PATIENCE);
    CollectiveException stopped = new CollectiveException("stopped");
    Patience untilStopped =
        new Patience(
            Duration.ofSeconds(30),
            () -> {
              throw stopped;
            });
    assertSame(
        stopped,
        assertThrows(
            CollectiveException.class,
            () -> writer.begin(Snapshot.copyOf(state), List.of(), listener, untilStopped)));
  }

  @Test
  void aFullDiskIsHeardOfAndTheNextOneIsTriedAgain() throws Exception {
    disk.countDown();
    reach(1);
    writer.begin(Snapshot.copyOf(state), List.of(), listener, PATIENCE);
    Files.createDirectories(root.resolve("step-2.g0.partial/in the way"));
    reach(2);
    writer.begin(Snapshot.copyOf(state), List.of(), listener, PATIENCE);
    reach(3);
    writer.begin(Snapshot.copyOf(state), List.of(), listener, PATIENCE);
    writer.await(PATIENCE);
    assertEquals("saved step-1", heard.poll());
    String failure = String.valueOf(heard.poll());
    assertTrue(failure.startsWith("failed " + root.resolve("step-2: can't be saved: ")), failure);
    assertEquals("saved step-3", heard.poll());
    assertEquals(List.of("step-1", "step-2.g0.partial", "step-3"), names());
  }

  @Test
  void aStateThatIsNotCopiedIsReadBeforeTrainingGoesOn() throws Exception {
    reach(1);
    Patience firstLook = new Patience(Duration.ofSeconds(30), disk::countDown);
    writer.begin(Snapshot.viewOf(state, state.progress()), List.of(), listener, firstLook);
    reach(2);
    assertEquals("saved step-1", heard.poll(30, TimeUnit.SECONDS));
    assertEquals(Optional.of(root.resolve("step-1")), read());
    for (MemorySegment buffer : state.buffers()) {
      assertEquals(1f, buffer.getAtIndex(ValueLayout.JAVA_FLOAT, 99));
    }
  }

  @Test
  void onceItIsReadTrainingGoesOnWhileTheRestIsDone() throws Exception {
    CheckpointWriter slow =
        new CheckpointWriter(
            TestCheckpoints.in(
                root,
                JOB,
                3,
                false,
                (target, tensors, metadata) -> {
                  SafetensorsWriter.write(target, tensors, metadata);
                  awaitDisk();
                }));
    reach(1);
    slow.begin(Snapshot.viewOf(state, state.progress()), List.of(), listener, PATIENCE);
    assertTrue(heard.isEmpty());
    disk.countDown();
    assertEquals("saved step-1", heard.poll(30, TimeUnit.SECONDS));
    slow.await(PATIENCE);
    slow.close();
  }

  @Test
  void aStateThatIsLostWhileItIsReadLeavesTheCheckpointBefore() throws IOException {
    disk.countDown();
    reach(1);
    writer.begin(Snapshot.copyOf(state), List.of(), listener, PATIENCE);
    FloatSource lost =
        (from, to, sink) -> {
          sink.take(parameters.values().asSlice(0, 40));
          throw new CollectiveException("rank 1 is lost");
        };
    reach(2);
    FloatSource values = FloatSource.of(parameters.values());
    Snapshot halfLost =
        Snapshot.of(parameters.slices(), List.of(values, values, lost), state.progress());
    writer.begin(halfLost, List.of(), listener, PATIENCE);
    writer.await(PATIENCE);
    assertEquals(
        List.of("saved step-1", "failed The checkpoint of step 2 was given up: rank 1 is lost."),
        List.copyOf(heard));
    assertEquals(List.of("step-1"), names());
    assertEquals(Optional.of(root.resolve("step-1")), read());
  }

  @Test
  void aStopReturnsWhenNothingReadsTheStateAnyMore() {
    disk.countDown();
    reach(1);
    AtomicBoolean reading = new AtomicBoolean();
    FloatSource endless =
        (from, to, sink) -> {
          reading.set(true);
          try {
            while (true) {
              sink.take(parameters.values());
            }
          } finally {
            reading.set(false);
          }
        };
    Snapshot snapshot =
        Snapshot.of(parameters.slices(), List.of(endless, endless, endless), state.progress());
    CollectiveException stopped = new CollectiveException("stopped");
    Patience untilStopped =
        new Patience(
            Duration.ofSeconds(30),
            () -> {
              throw stopped;
            });
    assertSame(
        stopped,
        assertThrows(
            CollectiveException.class,
            () -> writer.begin(snapshot, List.of(), listener, untilStopped)));
    assertFalse(reading.get());
  }

  private void awaitDisk() throws IOException {
    try {
      if (!disk.await(30, TimeUnit.SECONDS)) {
        throw new IOException("the test never let the disk work");
      }
    } catch (InterruptedException e) {
      throw new IOException(e);
    }
  }

  private Optional<Path> read() {
    return TestCheckpoints.in(root, JOB, 3, false).readNewest(state, heard::add);
  }

  private void reach(long step) {
    for (MemorySegment buffer : state.buffers()) {
      for (long i = 0; i < parameters.size(); i++) {
        buffer.setAtIndex(ValueLayout.JAVA_FLOAT, i, step);
      }
    }
    state.completed(new Progress(step, 1.5, List.of(), step, step, step, null));
  }

  private List<String> names() throws IOException {
    try (Stream<Path> files = Files.list(root)) {
      return files.map(file -> file.getFileName().toString()).sorted().toList();
    }
  }
}
