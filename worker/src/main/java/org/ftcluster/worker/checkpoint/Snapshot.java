package org.ftcluster.worker.checkpoint;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import org.ftcluster.worker.collective.CollectiveException;
import org.ftcluster.worker.model.FloatSource;
import org.ftcluster.worker.model.ParameterBuffer;
import org.ftcluster.worker.safetensors.PieceSink;
import org.ftcluster.worker.tensor.FiledMemory;
import org.ftcluster.worker.tensor.LargeMemory;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The state after one step, as it is saved or read: a copy off the heap that training doesn't
 * touch, on a disk as far as the state is; or wherever it is, for as long as nobody trains.
 */
public final class Snapshot implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(Snapshot.class);

  private final List<ParameterBuffer.Slice> slices;
  private final List<FloatSource> contents;
  private final Progress progress;
  private final Runnable release;

  /** Tensors that are still to be read before training may go on. */
  private final AtomicInteger awaited;

  private final CountDownLatch read;
  private final AtomicLong pieces = new AtomicLong();
  private volatile boolean givenUp;

  private Snapshot(
      List<ParameterBuffer.Slice> slices,
      List<FloatSource> contents,
      Progress progress,
      boolean copied,
      Runnable release) {
    this.slices = slices;
    this.contents = List.copyOf(contents);
    this.progress = progress;
    this.release = release;
    this.awaited = new AtomicInteger(slices.size() * contents.size());
    this.read = new CountDownLatch(copied ? 0 : 1);
  }

  /** A copy, in memory that {@link #close} frees. */
  public static Snapshot copyOf(TrainingState state) {
    Arena arena = Arena.ofShared();
    try {
      List<FloatSource> copies = new ArrayList<>();
      for (MemorySegment buffer : state.buffers()) {
        copies.add(FloatSource.of(copy(arena, state, buffer)));
      }
      return new Snapshot(
          state.parameters().slices(), copies, state.progress(), true, arena::close);
    } catch (RuntimeException | Error e) {
      arena.close();
      throw e;
    }
  }

  private static MemorySegment copy(Arena arena, TrainingState state, MemorySegment buffer) {
    long bytes = buffer.byteSize();
    MemorySegment copy =
        FiledMemory.is(buffer)
            ? state.optimizer().roomForCopy(arena, bytes)
            : LargeMemory.allocate(arena, bytes);
    FiledMemory.copy(buffer, copy);
    return copy;
  }

  /**
   * The state's own memory, which must stay as it is until the snapshot was used.
   *
   * @param progress that it has come to
   */
  public static Snapshot viewOf(TrainingState state, Progress progress) {
    List<FloatSource> buffers = state.buffers().stream().map(FloatSource::of).toList();
    return of(state.parameters().slices(), buffers, progress);
  }

  /**
   * Of a state that is wherever its contents are read from, and must stay as it is until it was.
   *
   * @param contents by {@link StateContent}
   */
  public static Snapshot of(
      List<ParameterBuffer.Slice> slices, List<FloatSource> contents, Progress progress) {
    return of(slices, contents, progress, () -> {});
  }

  /**
   * The same.
   *
   * @param release called by {@link #close}
   */
  public static Snapshot of(
      List<ParameterBuffer.Slice> slices,
      List<FloatSource> contents,
      Progress progress,
      Runnable release) {
    return new Snapshot(slices, contents, progress, false, release);
  }

  List<ParameterBuffer.Slice> slices() {
    return slices;
  }

  /**
   * Reads a tensor, each of them once.
   *
   * @throws CollectiveException when it can't be read any more
   */
  void read(StateContent content, ParameterBuffer.Slice tensor, PieceSink sink) throws IOException {
    content(content)
        .read(
            tensor.offset(),
            tensor.offset() + tensor.size(),
            piece -> {
              if (givenUp) {
                throw new CollectiveException("nobody waits for it");
              }
              sink.take(piece);
              pieces.incrementAndGet();
            });
    if (awaited.decrementAndGet() == 0) {
      read.countDown();
    }
  }

  /** Of all parameters. */
  public FloatSource content(StateContent content) {
    return contents.get(content.ordinal());
  }

  public Progress progress() {
    return progress;
  }

  /** How many have been read so far. */
  long piecesRead() {
    return pieces.get();
  }

  /** Whether the state may change, since this is a copy, or was read, or closed. */
  boolean awaitRead(long timeoutMs) throws InterruptedException {
    return read.await(timeoutMs, TimeUnit.MILLISECONDS);
  }

  /** Has whoever reads it end, and waits for that, since the state is about to change. */
  void giveUp(Duration timeout) {
    givenUp = true;
    try {
      if (!awaitRead(timeout.toMillis())) {
        log.error("the state of step {} is still being read", progress.step());
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  @Override
  public void close() {
    read.countDown();
    release.run();
  }
}
