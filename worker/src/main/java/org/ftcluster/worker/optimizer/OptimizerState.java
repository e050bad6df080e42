package org.ftcluster.worker.optimizer;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What AdamW remembers of each parameter: running means of the gradient and of its square, float32,
 * in the order of the parameters. Zero before the first step. A rank may have shards of it only.
 */
public final class OptimizerState implements AutoCloseable {
  private Memory memory;
  private @Nullable Pending pending;

  /**
   * What a rank holds of it.
   *
   * @param gradients what an update that isn't complete everywhere learns from; empty where nothing
   *     is shared
   */
  public record Piece(
      Shard shard,
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

    /** Zeros. */
    public Memory(ShardLayout layout) {
      this.layout = layout;
      boolean shared = layout.ranks() > 1;
      for (Shard shard : layout.held()) {
        pieces.add(
            new Piece(
                shard,
                floats(shard.size()),
                floats(shard.size()),
                floats(shared ? shard.size() : 0)));
      }
    }

    private MemorySegment floats(long size) {
      return arena.allocate(size * Float.BYTES, 64);
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
   * All of it.
   *
   * @param size parameters
   */
  public OptimizerState(long size) {
    this(ShardLayout.whole(size));
  }

  public OptimizerState(ShardLayout layout) {
    this(new Memory(layout));
  }

  private OptimizerState(Memory memory) {
    this.memory = memory;
  }

  /** Nothing of it, until it is known what this rank's is. */
  public static OptimizerState none(long size) {
    return new OptimizerState(new Memory(size));
  }

  public ShardLayout layout() {
    return memory.layout();
  }

  /** In the order of {@link ShardLayout#held}. */
  public List<Piece> pieces() {
    return memory.pieces();
  }

  /** Gives up what is here for something else, and forgets what is pending. */
  public void replace(Memory other) {
    memory.close();
    memory = other;
    pending = null;
  }

  /** All of it, as before the first step. */
  public void makeWhole() {
    if (!isWhole()) {
      replace(new Memory(ShardLayout.whole(layout().size())));
    }
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

  /** As before the first step. */
  public void clear() {
    pending = null;
    for (Piece piece : memory.pieces) {
      piece.firstMoment().fill((byte) 0);
      piece.secondMoment().fill((byte) 0);
    }
  }

  @Override
  public void close() {
    memory.close();
  }
}
