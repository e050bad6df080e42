package org.ftcluster.worker.checkpoint;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import org.ftcluster.worker.model.ParameterBuffer;
import org.ftcluster.worker.tensor.FiledMemory;
import org.ftcluster.worker.tensor.LargeMemory;

/**
 * The state after one step, as a checkpoint holds it: a copy off the heap that training doesn't
 * touch, on a disk as far as the state is, or a view of the state itself for as long as nobody
 * trains.
 */
public final class Snapshot implements AutoCloseable {
  private final Arena arena;
  private final List<ParameterBuffer.Slice> slices;
  private final List<MemorySegment> buffers;
  private final Progress progress;

  private Snapshot(Arena arena, TrainingState state, List<MemorySegment> buffers) {
    this.arena = arena;
    this.slices = state.parameters().slices();
    this.buffers = buffers;
    this.progress = state.progress();
  }

  /** A copy, in memory that {@link #close} frees. */
  public static Snapshot copyOf(TrainingState state) {
    Arena arena = Arena.ofShared();
    try {
      List<MemorySegment> copies = new ArrayList<>();
      for (MemorySegment buffer : state.buffers()) {
        copies.add(copy(arena, state, buffer));
      }
      return new Snapshot(arena, state, copies);
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

  /** The state's own memory, which must stay as it is until the snapshot was used. */
  public static Snapshot viewOf(TrainingState state) {
    return new Snapshot(Arena.ofShared(), state, state.buffers());
  }

  /**
   * Of a state that was put together elsewhere.
   *
   * @param arena where its buffers are; closed with the snapshot
   */
  public static Snapshot of(
      Arena arena, TrainingState state, MemorySegment firstMoment, MemorySegment secondMoment) {
    MemorySegment copy = copy(arena, state, state.parameters().values());
    return new Snapshot(arena, state, List.of(copy, firstMoment, secondMoment));
  }

  /**
   * The same with values that were put together elsewhere, too.
   *
   * @param arena where its buffers are; closed with the snapshot
   */
  public static Snapshot of(
      Arena arena,
      TrainingState state,
      MemorySegment values,
      MemorySegment firstMoment,
      MemorySegment secondMoment) {
    return new Snapshot(arena, state, List.of(values, firstMoment, secondMoment));
  }

  List<ParameterBuffer.Slice> slices() {
    return slices;
  }

  /** As {@link TrainingState#buffers}. */
  List<MemorySegment> buffers() {
    return buffers;
  }

  public Progress progress() {
    return progress;
  }

  @Override
  public void close() {
    arena.close();
  }
}
