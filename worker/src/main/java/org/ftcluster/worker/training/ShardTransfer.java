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
 * <p>Nothing of a rank's own state changes until it has all that it gets. Where ranks share out
 * values, too, these go with the optimizer's memory of them.
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

  /** Whether ranks share out values as well, as soon as there are two. */
  private final boolean sharesValues;

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
   * @param layout how this generation shares, in groups of neighbouring ranks or all together
   * @param job a number that stands for the job's settings and files
   */
  ShardTransfer(
      Communicator ranks, TrainingState state, ShardLayout layout, long job, Duration timeout) {
    this.ranks = ranks;
    this.state = state;
    this.layout = layout;
    this.job = job;
    this.timeout = timeout;
    this.sharesValues = layout.units().size() > 1;
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
        !sharesValues
            && holdings.stream()
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
    if (values && ranks.rank() != source || memory != null && sharesValues && layout.ranks() == 1) {
      FiledMemory.copy(received, state.parameters().values());
    }
    if (memory != null) {
      state.optimizer().replace(memory);
    }
    if (layout.sharesValues()) {
      state.parameters().release();
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
        none || sharesValues ? 0 : Checksums.crc32c(List.of(state.parameters().values())),
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
                layout.at((int) w[PENDING + 1], (int) w[PENDING + 2], w[WORDS - 1] != 0)));
      }
      holdings = List.copyOf(told);
    }
    StateTransfer.requireSameJob(holdings.stream().map(Holding::job).toList());
  }

  private ShardLayout layoutOf(int rank) {
    return layout.at(rank % layout.ranks(), layout.ranks(), layout.mirrored());
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
      Sent sent = new Sent(arena, sharesValues);
      for (Source source : sources) {
        for (long at = source.shard().from(); at < source.shard().to(); at += CHUNK) {
          Shard part = new Shard(at, Math.min(source.shard().to(), at + CHUNK));
          if (ranks.rank() == source.rank()) {
            read(part, step, sent);
          }
          ranks.broadcast(sent.all(part), source.rank()).await(timeout);
          memory.pieces().forEach(piece -> keep(piece, part, sent));
        }
      }
      return memory;
    } catch (RuntimeException | Error e) {
      memory.close();
      throw e;
    }
  }

  /** What goes around at once: the optimizer's memory of some parameters, and their values. */
  private static final class Sent {
    private final MemorySegment memory;
    private final boolean withValues;

    Sent(Arena arena, boolean withValues) {
      this.memory = arena.allocate((withValues ? 3 : 2) * CHUNK * Float.BYTES, 64);
      this.withValues = withValues;
    }

    MemorySegment all(Shard part) {
      return memory.asSlice(0, (withValues ? 3 : 2) * part.size() * Float.BYTES);
    }

    MemorySegment first(Shard part) {
      return buffer(0, part);
    }

    MemorySegment second(Shard part) {
      return buffer(1, part);
    }

    MemorySegment values(Shard part) {
      return buffer(2, part);
    }

    private MemorySegment buffer(int index, Shard part) {
      long bytes = part.size() * Float.BYTES;
      return memory.asSlice(index * bytes, bytes);
    }
  }

  private void read(Shard part, long step, Sent sent) {
    OptimizerState optimizer = state.optimizer();
    for (Piece piece : optimizer.pieces()) {
      if (piece.shard().and(part).equals(part)) {
        long start = piece.shard().from();
        if (state.completedStep() == step) {
          sent.first(part).copyFrom(part.in(piece.firstMoment(), start));
          sent.second(part).copyFrom(part.in(piece.secondMoment(), start));
          if (sharesValues) {
            sent.values(part)
                .copyFrom(
                    optimizer.isWhole()
                        ? part.of(state.parameters().values())
                        : part.in(piece.values(), start));
          }
        } else {
          optimizer.momentsAfter(piece, part, sent.first(part), sent.second(part));
          if (sharesValues) {
            optimizer.valuesAfter(state.parameters().slices(), piece, part, sent.values(part));
          }
        }
        return;
      }
    }
    throw new IllegalStateException("parameters %s aren't here".formatted(part));
  }

  /** Values of all parameters go where gradients are, until the rest has come. */
  private void keep(Piece piece, Shard part, Sent sent) {
    Shard kept = piece.shard().and(part);
    if (kept.size() == 0) {
      return;
    }
    long start = piece.shard().from();
    kept.in(piece.firstMoment(), start).copyFrom(kept.in(sent.first(part), part.from()));
    kept.in(piece.secondMoment(), start).copyFrom(kept.in(sent.second(part), part.from()));
    if (sharesValues) {
      MemorySegment values =
          layout.sharesValues()
              ? kept.in(piece.values(), start)
              : kept.of(state.parameters().gradients());
      values.copyFrom(kept.in(sent.values(part), part.from()));
    }
  }
}
