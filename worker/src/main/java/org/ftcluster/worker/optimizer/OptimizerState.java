package org.ftcluster.worker.optimizer;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.worker.model.ParameterBuffer;
import org.ftcluster.worker.tensor.FiledMemory;
import org.ftcluster.worker.tensor.LargeMemory;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What AdamW remembers of each parameter: running means of the gradient and of its square, float32,
 * in the order of the parameters. Zero before the first step. A rank may have shards of it only,
 * and then perhaps of the parameters' values, too; and may have what is remembered on a disk
 * ({@link FiledMemory}).
 */
public final class OptimizerState implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(OptimizerState.class);

  /** For messages. */
  private static final String CONTENT = "the optimizer's moments";

  /** Null where it is in memory. */
  private final @Nullable Path folder;

  private Memory memory;
  private @Nullable Pending pending;

  /**
   * What a rank holds of it.
   *
   * @param values of the parameters; empty where these are not shared out
   * @param gradients what an update that isn't complete everywhere learns from; empty where nothing
   *     is shared
   */
  public record Piece(
      Shard shard,
      MemorySegment values,
      MemorySegment firstMoment,
      MemorySegment secondMoment,
      MemorySegment gradients) {}

  /** Pieces and their memory. */
  public static final class Memory {
    private final Arena arena = Arena.ofShared();
    private final ShardLayout layout;
    private final List<Piece> pieces = new ArrayList<>();

    private Memory(long size) {
      this.layout = ShardLayout.whole(size);
    }

    private Memory(ShardLayout layout, @Nullable Path folder) {
      this.layout = layout;
      boolean shared = layout.ranks() > 1;
      try {
        for (Shard shard : layout.held()) {
          pieces.add(
              new Piece(
                  shard,
                  floats(null, layout.sharesValues() ? shard.size() : 0), // used all the time
                  floats(folder, shard.size()),
                  floats(folder, shard.size()),
                  floats(folder, shared ? shard.size() : 0)));
        }
      } catch (RuntimeException | Error e) {
        arena.close();
        throw e;
      }
    }

    private MemorySegment floats(@Nullable Path folder, long size) {
      long bytes = size * Float.BYTES;
      return folder == null
          ? arena.allocate(bytes, 64)
          : FiledMemory.allocate(arena, folder, CONTENT, bytes);
    }

    public ShardLayout layout() {
      return layout;
    }

    public List<Piece> pieces() {
      return List.copyOf(pieces);
    }

    /** Frees it. */
    public void close() {
      arena.close();
    }
  }

  /**
   * An update whose gradients are here, and which some rank may have completed.
   *
   * @param at whose step it is
   */
  record Pending(AdamW adamW, AdamW.At at) {}

  /**
   * All of it, in memory.
   *
   * @param size parameters
   */
  public OptimizerState(long size) {
    this(ShardLayout.whole(size));
  }

  /** In memory. */
  public OptimizerState(ShardLayout layout) {
    this(new Memory(layout, null), null);
  }

  private OptimizerState(Memory memory, @Nullable Path folder) {
    this.memory = memory;
    this.folder = folder;
  }

  /**
   * All of it.
   *
   * @param folder on whose disk it is to be, now and later; null for memory
   * @throws org.ftcluster.protocol.job.BadJobException when it can't be there
   */
  public static OptimizerState whole(long size, @Nullable Path folder) {
    return new OptimizerState(new Memory(ShardLayout.whole(size), folder), folder);
  }

  /**
   * Nothing of it, until it is known what this rank's is.
   *
   * @param folder on whose disk it is to be; null for memory
   */
  public static OptimizerState none(long size, @Nullable Path folder) {
    return new OptimizerState(new Memory(size), folder);
  }

  /** Zeros for another layout, to {@link #replace} what is here. */
  public Memory newMemory(ShardLayout layout) {
    return new Memory(layout, folder);
  }

  /** Room for a copy of a buffer of it: where it is itself, or in memory where the disk is full. */
  public MemorySegment roomForCopy(Arena arena, long bytes) {
    if (folder != null) {
      try {
        return FiledMemory.allocate(arena, folder, CONTENT, bytes);
      } catch (BadJobException e) {
        log.warn("a checkpoint's copy takes {} bytes of memory: {}", bytes, e.getMessage());
      }
    }
    return LargeMemory.allocate(arena, bytes);
  }

  public ShardLayout layout() {
    return memory.layout();
  }

  /** In the order of {@link ShardLayout#held}. */
  public List<Piece> pieces() {
    return memory.pieces();
  }

  /** Without those that this rank only mirrors, by unit. */
  public List<Piece> ownPieces() {
    return memory.pieces.subList(0, isWhole() ? 1 : layout().units().size());
  }

  /** Gives up what is here for something else, and forgets what is pending. */
  public void replace(Memory other) {
    memory.close();
    memory = other;
    pending = null;
  }

  public boolean isWhole() {
    return layout().ranks() == 1 && !memory.pieces.isEmpty();
  }

  /** Running mean of the gradients, where all of it is here. */
  public MemorySegment firstMoment() {
    return whole().firstMoment();
  }

  /** Running mean of the squared gradients, where all of it is here. */
  public MemorySegment secondMoment() {
    return whole().secondMoment();
  }

  private Piece whole() {
    if (!isWhole()) {
      throw new IllegalStateException("only shards of the optimizer's memory are here");
    }
    return memory.pieces.getFirst();
  }

  /** The step, counted from 1, that {@link #momentsAfter} knows besides; -1 where there is none. */
  public long pendingStep() {
    return pending == null ? -1 : pending.at().step();
  }

  /** From now on the pieces' gradients are those of a step that some rank may complete. */
  void pending(Pending update) {
    pending = update;
  }

  /** The step isn't pending any more: it is complete, or will never be. */
  void settled() {
    pending = null;
  }

  /**
   * The means after {@link #pendingStep}, of some parameters, beside those that are held.
   *
   * @param part of the piece's
   */
  public void momentsAfter(Piece piece, Shard part, MemorySegment first, MemorySegment second) {
    if (pending == null) {
      throw new IllegalStateException("no step is pending");
    }
    long start = piece.shard().from();
    pending
        .adamW()
        .remember(
            part.in(piece.firstMoment(), start),
            part.in(piece.secondMoment(), start),
            part.in(piece.gradients(), start),
            first,
            second,
            pending.at());
  }

  /**
   * The values after {@link #pendingStep}, of some parameters, beside those that are held.
   *
   * @param tensors of all parameters
   * @param part of the piece's
   */
  public void valuesAfter(
      List<ParameterBuffer.Slice> tensors, Piece piece, Shard part, MemorySegment values) {
    if (pending == null) {
      throw new IllegalStateException("no step is pending");
    }
    pending.adamW().preview(tensors, piece, part, values, pending.at());
  }

  /** As before the first step. */
  public void clear() {
    pending = null;
    for (Piece piece : memory.pieces) {
      for (MemorySegment moment : List.of(piece.firstMoment(), piece.secondMoment())) {
        moment.fill((byte) 0);
        FiledMemory.letGo(moment);
      }
    }
  }

  @Override
  public void close() {
    memory.close();
  }
}
