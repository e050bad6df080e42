package org.ftcluster.worker.training;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.function.Consumer;
import org.ftcluster.worker.checkpoint.Checksums;
import org.ftcluster.worker.checkpoint.Progress;
import org.ftcluster.worker.checkpoint.Snapshot;
import org.ftcluster.worker.checkpoint.StateContent;
import org.ftcluster.worker.checkpoint.TrainingState;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.model.ParameterBuffer;
import org.ftcluster.worker.optimizer.OptimizerState;
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
      return step == wanted || (step >= 0 && pendingStep == wanted);
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
    boolean dealtAnew = false;
    for (int rank = 0; rank < ranks.size(); rank++) {
      Holding holding = holdings.get(rank);
      dealtAnew |= holding.step() != step || !holding.layout().equals(layoutOf(rank));
    }
    boolean isSource = ranks.rank() == source;
    Progress progress =
        StateTransfer.broadcast(ranks, isSource ? state.progress() : null, source, timeout);
    MemorySegment received = state.parameters().gradients();
    if (values) {
      MemorySegment own = state.parameters().values();
      ranks.broadcast(isSource ? own : received, source).await(timeout);
    }
    OptimizerState.Memory memory =
        dealtAnew ? dealt(sources, progress, part -> part.read(state, step)) : null;
    takeOver(progress, values && !isSource, memory);
  }

  /**
   * Ends with a state that is in no rank's memory, in its new shards; rank 0 reads it in pieces.
   *
   * @param saved rank 0's; null on the others
   */
  void fromSaved(@Nullable Snapshot saved) {
    exchange();
    Progress progress =
        StateTransfer.broadcast(ranks, saved == null ? null : saved.progress(), 0, timeout);
    if (!sharesValues) {
      MemorySegment received = state.parameters().gradients();
      if (saved != null) {
        saved.content(StateContent.VALUE).copy(0, received);
      }
      ranks.broadcast(received, 0).await(timeout);
    }
    List<Source> all = List.of(new Source(new Shard(0, layout.size()), 0));
    takeOver(
        progress,
        !sharesValues,
        dealt(all, progress, part -> part.read(Objects.requireNonNull(saved))));
  }

  /**
   * Makes what has come the state, once all ranks have all.
   *
   * @param received whether all values are where gradients are
   * @param memory null where it stays what it is
   */
  private void takeOver(
      Progress progress, boolean received, OptimizerState.@Nullable Memory memory) {
    try {
      ranks.barrier().await(timeout);
    } catch (RuntimeException e) {
      if (memory != null) {
        memory.close();
      }
      throw e;
    }

    // From here to the end nothing waits, and nothing fails.
    ParameterBuffer parameters = state.parameters();
    if (received || (memory != null && sharesValues && layout.ranks() == 1)) {
      FiledMemory.copy(parameters.gradients(), parameters.values());
    }
    if (memory != null) {
      state.optimizer().replace(memory);
    }
    if (layout.sharesValues()) {
      parameters.release();
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

  /**
   * This rank's new shards, from those that hold them now.
   *
   * @param reader on these, of a part of the state
   */
  private OptimizerState.Memory dealt(
      List<Source> sources, Progress progress, Consumer<DealtPart> reader) {
    log.info(
        "rank {} takes part in dealing out the state of step {}", ranks.rank(), progress.step());
    OptimizerState.Memory memory = state.optimizer().newMemory(layout);
    try (Arena arena = Arena.ofShared()) {
      // Before the first step there is nothing to remember.
      DealtPart part = new DealtPart(arena, progress.step() > 0, sharesValues);
      for (Source source : part.isNothing() ? List.<Source>of() : sources) {
        Shard all = source.shard();
        for (long at = all.from(); at < all.to(); at += DealtPart.SIZE) {
          part.begin(new Shard(at, Math.min(all.to(), at + DealtPart.SIZE)));
          if (ranks.rank() == source.rank()) {
            reader.accept(part);
          }
          ranks.broadcast(part.bytes(), source.rank()).await(timeout);
          // Values of all parameters go where gradients are, until the rest has come.
          memory.pieces().forEach(piece -> part.keep(piece, state.parameters().gradients()));
        }
      }
      return memory;
    } catch (RuntimeException | Error e) {
      memory.close();
      throw e;
    }
  }
}
