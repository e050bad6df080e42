package org.ftcluster.worker.checkpoint;

import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Consumer;
import java.util.function.LongSupplier;
import org.ftcluster.worker.checkpoint.CheckpointStore.Found;
import org.ftcluster.worker.collective.CollectiveException;
import org.ftcluster.worker.model.ParameterBuffer;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Saves checkpoints while training goes on: the state is copied, and a thread of its own writes the
 * copy. There is one copy at most, so a checkpoint that is due waits for the one before. Of a state
 * that isn't copied the thread reads all first, and only then training goes on, while what was read
 * is synced, checked and published.
 *
 * <p>For one thread, the rank's; listeners hear from the writer's.
 */
public final class CheckpointWriter implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(CheckpointWriter.class);
  private static final long POLL_MS = 20;

  private final CheckpointStore store;
  private final ExecutorService thread =
      Executors.newSingleThreadExecutor(Thread.ofPlatform().daemon().name("checkpoint").factory());
  private @Nullable InFlight inFlight;

  private record InFlight(long step, Future<?> write) {}

  /** Hears how a save in the background ended; must return at once. */
  public interface Listener {
    void saved(long step, Path folder);

    /**
     * @param reason a sentence
     */
    void failed(long step, String reason);
  }

  /**
   * How long to wait for a save in the background.
   *
   * @param timeout at most
   * @param stopCheck called all the while; throws to end it
   */
  public record Patience(Duration timeout, Runnable stopCheck) {}

  /**
   * @param store closed with this
   */
  public CheckpointWriter(CheckpointStore store) {
    this.store = store;
  }

  /**
   * Begins to save a snapshot, once the save before has ended, and returns when the state may
   * change: of a copy at once, of others when they were read. What remains is done meanwhile.
   *
   * @param snapshot closed when it is saved
   * @param logs copied into the checkpoint, too
   * @throws CheckpointException when the save before takes too long, or a piece of the state does
   */
  public void begin(Snapshot snapshot, List<LogFile> logs, Listener listener, Patience patience) {
    await(patience);
    InFlight begun =
        new InFlight(
            snapshot.progress().step(), thread.submit(() -> write(snapshot, logs, listener)));
    inFlight = begun;
    long startNs = System.nanoTime();
    try {
      await(begun, patience, () -> snapshot.awaitRead(POLL_MS), snapshot::piecesRead);
      log.debug(
          "training waited {} ms for the checkpoint of step {}",
          (System.nanoTime() - startNs) / 1_000_000,
          begun.step());
    } catch (RuntimeException e) {
      snapshot.giveUp(patience.timeout());
      throw e;
    }
  }

  private void write(Snapshot snapshot, List<LogFile> logs, Listener listener) {
    long step = snapshot.progress().step();
    try (snapshot) {
      listener.saved(step, store.save(snapshot, logs));
    } catch (CheckpointException e) {
      listener.failed(step, String.valueOf(e.getMessage()));
    } catch (CollectiveException e) {
      listener.failed(
          step, "The checkpoint of step %d was given up: %s.".formatted(step, e.getMessage()));
    }
  }

  /**
   * Saves the state on the calling thread, without a copy, once the save before has ended.
   *
   * @return the folder
   * @throws CheckpointException when it can't be saved
   */
  public Path save(TrainingState state, List<LogFile> logs, Patience patience) {
    try (Snapshot view = Snapshot.viewOf(state, state.progress())) {
      return save(view, logs, patience);
    }
  }

  /** The same of a snapshot, which stays. */
  public Path save(Snapshot snapshot, List<LogFile> logs, Patience patience) {
    await(patience);
    return store.save(snapshot, logs);
  }

  /**
   * Waits for the save in the background, if there is one.
   *
   * @throws CheckpointException when it takes too long
   */
  public void await(Patience patience) {
    InFlight waited = inFlight;
    if (waited != null) {
      await(waited, patience, () -> ended(waited.write()), () -> 0);
    }
  }

  /** Looks again and again, a short while each time. */
  private interface Look {
    boolean isOver() throws InterruptedException;
  }

  /**
   * Looks until it is over.
   *
   * @param progress patience lasts anew whenever it is another
   */
  private static void await(InFlight waited, Patience patience, Look look, LongSupplier progress) {
    long startNs = System.nanoTime();
    long seen = progress.getAsLong();
    try {
      while (!look.isOver()) {
        patience.stopCheck().run();
        long now = progress.getAsLong();
        if (now != seen) {
          seen = now;
          startNs = System.nanoTime();
        } else if (System.nanoTime() - startNs > patience.timeout().toNanos()) {
          throw new CheckpointException(
              "The checkpoint of step %d is still being written after another %d s: the place it goes to is too slow, or stuck."
                  .formatted(waited.step(), patience.timeout().toSeconds()));
        }
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new CheckpointException("Interrupted while a checkpoint was being written.", e);
    }
  }

  private boolean ended(Future<?> write) throws InterruptedException {
    try {
      write.get(POLL_MS, TimeUnit.MILLISECONDS);
      inFlight = null;
      return true;
    } catch (TimeoutException e) {
      return false;
    } catch (ExecutionException e) {
      inFlight = null;
      throw new IllegalStateException("the checkpoint's writer failed", e.getCause());
    }
  }

  /**
   * As {@link CheckpointStore#copyResults}; to be called when nothing is being saved.
   *
   * @throws CheckpointException when they can't be copied
   */
  public Optional<String> copyResults(List<Path> files) {
    return store.copyResults(files);
  }

  /** As {@link CheckpointStore#holds}; to be called when nothing is being saved. */
  public boolean holds(long step) {
    return store.holds(step);
  }

  /** As {@link CheckpointStore#open}; to be called when nothing is being saved. */
  public Optional<Found> open(
      long step, List<ParameterBuffer.Slice> slices, Consumer<String> warnings) {
    return store.open(step, slices, warnings);
  }

  /** As {@link CheckpointStore#fetchResult}. */
  public boolean fetchResult(String name, Path target) {
    return store.fetchResult(name, target);
  }

  /** Takes no more; what is being written is finished if this process lives that long. */
  @Override
  public void close() {
    thread.execute(store::close);
    thread.shutdown();
  }
}
