package org.ftcluster.worker.training;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.ftcluster.worker.checkpoint.Snapshot;
import org.ftcluster.worker.checkpoint.StateContent;
import org.ftcluster.worker.checkpoint.TrainingState;
import org.ftcluster.worker.optimizer.OptimizerState;
import org.ftcluster.worker.optimizer.OptimizerState.Piece;
import org.ftcluster.worker.optimizer.Shard;

/**
 * What goes around at once when the state is dealt out anew: what is remembered of some parameters,
 * and their values; one after the other in the same memory.
 */
final class DealtPart {
  /** The most parameters. */
  static final long SIZE = 1 << 19;

  private final MemorySegment memory;
  private final boolean moments;
  private final boolean values;
  private Shard shard = new Shard(0, 0);

  /**
   * @param moments whether there is anything to remember
   * @param values whether they go along
   */
  DealtPart(Arena arena, boolean moments, boolean values) {
    this.moments = moments;
    this.values = values;
    this.memory = arena.allocate(buffers() * SIZE * Float.BYTES, 64);
  }

  private int buffers() {
    return (moments ? 2 : 0) + (values ? 1 : 0);
  }

  boolean isNothing() {
    return buffers() == 0;
  }

  /** From now on it is about these parameters. */
  void begin(Shard next) {
    shard = next;
  }

  MemorySegment bytes() {
    return memory.asSlice(0, buffers() * shard.size() * Float.BYTES);
  }

  private MemorySegment firstMoments() {
    return buffer(0);
  }

  private MemorySegment secondMoments() {
    return buffer(1);
  }

  private MemorySegment values() {
    return buffer(moments ? 2 : 0);
  }

  private MemorySegment buffer(int index) {
    long bytes = shard.size() * Float.BYTES;
    return memory.asSlice(index * bytes, bytes);
  }

  /** Takes it from a state that lies elsewhere. */
  void read(Snapshot saved) {
    if (moments) {
      saved.content(StateContent.FIRST_MOMENT).copy(shard.from(), firstMoments());
      saved.content(StateContent.SECOND_MOMENT).copy(shard.from(), secondMoments());
    }
    if (values) {
      saved.content(StateContent.VALUE).copy(shard.from(), values());
    }
  }

  /**
   * Takes it from this rank's shards.
   *
   * @param step that they are to have come to, or could
   */
  void read(TrainingState state, long step) {
    OptimizerState optimizer = state.optimizer();
    for (Piece piece : optimizer.pieces()) {
      if (piece.shard().and(shard).equals(shard)) {
        if (state.completedStep() == step) {
          read(piece, state);
        } else {
          optimizer.momentsAfter(piece, shard, firstMoments(), secondMoments());
          if (values) {
            optimizer.valuesAfter(state.parameters().slices(), piece, shard, values());
          }
        }
        return;
      }
    }
    throw new IllegalStateException("parameters %s aren't here".formatted(shard));
  }

  private void read(Piece piece, TrainingState state) {
    long start = piece.shard().from();
    if (moments) {
      firstMoments().copyFrom(shard.in(piece.firstMoment(), start));
      secondMoments().copyFrom(shard.in(piece.secondMoment(), start));
    }
    if (values) {
      values()
          .copyFrom(
              state.optimizer().isWhole()
                  ? shard.of(state.parameters().values())
                  : shard.in(piece.values(), start));
    }
  }

  /**
   * Copies what a piece has of it there.
   *
   * @param whole gets values where the piece has none: float32, of all parameters
   */
  void keep(Piece piece, MemorySegment whole) {
    Shard kept = piece.shard().and(shard);
    if (kept.size() == 0) {
      return;
    }
    long start = piece.shard().from();
    if (moments) {
      kept.in(piece.firstMoment(), start).copyFrom(kept.in(firstMoments(), shard.from()));
      kept.in(piece.secondMoment(), start).copyFrom(kept.in(secondMoments(), shard.from()));
    }
    if (values) {
      boolean hasValues = piece.values().byteSize() > 0;
      MemorySegment place = hasValues ? kept.in(piece.values(), start) : kept.of(whole);
      place.copyFrom(kept.in(values(), shard.from()));
    }
  }
}
