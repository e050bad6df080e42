package org.ftcluster.worker.training;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.ftcluster.worker.checkpoint.Checksums;
import org.ftcluster.worker.checkpoint.Progress;
import org.ftcluster.worker.checkpoint.TrainingState;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.optimizer.OptimizerState;
import org.ftcluster.worker.optimizer.OptimizerState.Piece;
import org.ftcluster.worker.optimizer.Shard;
import org.ftcluster.worker.optimizer.ShardLayout;
import org.ftcluster.worker.tensor.FiledMemory;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * At the start of a generation, deals the state out anew where ranks hold shards of it: from what
 * they hold of the last one's, whichever ranks those were.
 *
 * <p>Nothing of a rank's own state changes until it has all that it gets.
 */
final class ShardTransfer {
  private static final Logger log = LoggerFactory.getLogger(ShardTransfer.class);
  private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG;

  /** Parameters of which the optimizer's memory goes around at once. */
  private static final long CHUNK = 1 << 19;

  private static final int WORDS = 7;
  private static final int CHECKSUM = 1;
  private static final int PENDING = 3;

  private final Communicator ranks;
  private final TrainingState state;
  private final ShardLayout layout;
  private final long job;
  private final Duration timeout;

  /** By rank. */
  private List<Holding> holdings = List.of();

  /**
   * What a rank tells of itself.
   *
   * @param checksum of its parameters
   * @param pendingStep what it can say the optimizer's memory of besides
   */
  private record Holding(long step, long checksum, long job, long pendingStep, ShardLayout layout) {
    boolean knows(long wanted) {
      return step == wanted || step >= 0 && pendingStep == wanted;
    }
  }

  /** Who hands out the optimizer's memory of some parameters. */
  private record Source(Shard shard, int rank) {}

  /**
   * @param layout how this generation shares
   * @param job a number that stands for the job's settings and files
   */
  ShardTransfer(
      Communicator ranks, TrainingState state, ShardLayout layout, long job, Duration timeout) {
    this.ranks = ranks;
    this.state = state;
    this.layout = layout;
    this.job = job;
    this.timeout = timeout;
  }

  /** Whether ranks hold all of the state that {@code source} has come to; all find the same. */
  boolean isWhole(int source) {
    exchange();
    return !sources(holdings.get(source).step()).isEmpty();
  }

  /** Ends with the state of {@code source}, in its new shards. */
  void from(int source) {
    exchange();
    long step = holdings.get(source).step();
    List<Source> sources = sources(step);
    if (step < 0 || sources.isEmpty()) {
      throw new IllegalStateException("there is no whole state of step " + step);
    }
    boolean values =
        holdings.stream()
            .anyMatch(
                holding ->
                    holding.step() != step
                        || holding.checksum() != holdings.get(source).checksum());
    boolean moments = false;
    for (int rank = 0; rank < ranks.size(); rank++) {
      Holding holding = holdings.get(rank);
      moments |= holding.step() != step || !holding.layout().equals(layoutOf(rank));
    }
    MemorySegment received = state.parameters().gradients();
    if (values) {
      MemorySegment own = state.parameters().values();
      ranks.broadcast(ranks.rank() == source ? own : received, source).await(timeout);
    }
    OptimizerState.Memory memory = moments ? dealt(sources, step) : null;
    Progress progress = StateTransfer.broadcast(ranks, state, source, timeout);
    ranks.barrier().await(timeout);

    // From here to the end nothing waits, and nothing fails.
    if (values && ranks.rank() != source) {
      FiledMemory.copy(received, state.parameters().values());
    }
    if (memory != null) {
      state.optimizer().replace(memory);
    }
    state.completed(progress);
  }

  private void exchange() {
    try (Arena arena = Arena.ofShared()) {
      MemorySegment own = arena.allocate(LONG, WORDS);
      MemorySegment all = arena.allocate(LONG, (long) WORDS * ranks.size());
      boolean none = state.completedStep() < 0;
      ShardLayout held = state.optimizer().layout();
      long[] words = {
        state.completedStep(),
        none ? 0 : Checksums.crc32c(List.of(state.parameters().values())),
        job,
        state.optimizer().pendingStep(),
        held.rank(),
        held.ranks(),
        held.mirrored() ? 1 : 0
      };
      MemorySegment.copy(words, 0, own, LONG, 0, WORDS);
      ranks.allGather(own, all).await(timeout);
      List<Holding> told = new ArrayList<>();
      for (int rank = 0; rank < ranks.size(); rank++) {
        long[] w = all.asSlice(rank * own.byteSize(), own.byteSize()).toArray(LONG);
        told.add(
            new Holding(
                w[0],
                w[CHECKSUM],
                w[StateTransfer.JOB],
                w[PENDING],
                new ShardLayout(
                    layout.size(), (int) w[PENDING + 1], (int) w[PENDING + 2], w[WORDS - 1] != 0)));
      }
      holdings = List.copyOf(told);
    }
    StateTransfer.requireSameJob(holdings.stream().map(Holding::job).toList());
  }

  private ShardLayout layoutOf(int rank) {
    return new ShardLayout(layout.size(), rank, layout.ranks(), layout.mirrored());
  }

  /** From the first parameter to the last, or nothing where some are held by no rank. */
  private List<Source> sources(long step) {
    List<Source> sources = new ArrayList<>();
    long at = 0;
    while (at < layout.size()) {
      Source next = source(at, step);
      if (next == null) {
        return List.of();
      }
      sources.add(next);
      at = next.shard().to();
    }
    return sources;
  }

  private @Nullable Source source(long at, long step) {
    for (int rank = 0; rank < holdings.size(); rank++) {
      Holding holding = holdings.get(rank);
      if (!holding.knows(step)) {
        continue;
      }
      for (Shard shard : holding.layout().held()) {
        if (shard.from() <= at && at < shard.to()) {
          return new Source(new Shard(at, shard.to()), rank);
        }
      }
    }
    return null;
  }

  /** This rank's new shards, from those that hold them now. */
  private OptimizerState.Memory dealt(List<Source> sources, long step) {
    log.info("rank {} takes part in dealing out the state of step {}", ranks.rank(), step);
    OptimizerState.Memory memory = state.optimizer().newMemory(layout);
    try (Arena arena = Arena.ofShared()) {
      MemorySegment moments = arena.allocate(2 * CHUNK * Float.BYTES, 64);
      for (Source source : sources) {
        for (long at = source.shard().from(); at < source.shard().to(); at += CHUNK) {
          Shard part = new Shard(at, Math.min(source.shard().to(), at + CHUNK));
          long bytes = part.size() * Float.BYTES;
          MemorySegment first = moments.asSlice(0, bytes);
          MemorySegment second = moments.asSlice(bytes, bytes);
          if (ranks.rank() == source.rank()) {
            read(part, step, first, second);
          }
          ranks.broadcast(moments.asSlice(0, 2 * bytes), source.rank()).await(timeout);
          memory.pieces().forEach(piece -> keep(piece, part, first, second));
        }
      }
      return memory;
    } catch (RuntimeException | Error e) {
      memory.close();
      throw e;
    }
  }

  private void read(Shard part, long step, MemorySegment first, MemorySegment second) {
    for (Piece piece : state.optimizer().pieces()) {
      if (piece.shard().and(part).equals(part)) {
        if (state.completedStep() == step) {
          first.copyFrom(part.in(piece.firstMoment(), piece.shard().from()));
          second.copyFrom(part.in(piece.secondMoment(), piece.shard().from()));
        } else {
          state.optimizer().momentsAfter(piece, part, first, second);
        }
        return;
      }
    }
    throw new IllegalStateException("parameters %s aren't here".formatted(part));
  }

  private static void keep(Piece piece, Shard part, MemorySegment first, MemorySegment second) {
    Shard kept = piece.shard().and(part);
    if (kept.size() > 0) {
      long start = piece.shard().from();
      kept.in(piece.firstMoment(), start).copyFrom(kept.in(first, part.from()));
      kept.in(piece.secondMoment(), start).copyFrom(kept.in(second, part.from()));
    }
  }
}
