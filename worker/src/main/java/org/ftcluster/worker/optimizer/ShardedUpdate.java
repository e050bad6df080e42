package org.ftcluster.worker.optimizer;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.collective.Work;
import org.ftcluster.worker.model.ParameterBuffer;
import org.ftcluster.worker.optimizer.OptimizerState.Pending;
import org.ftcluster.worker.optimizer.OptimizerState.Piece;
import org.ftcluster.worker.tensor.FiledMemory;

/**
 * Every rank updates its own parameters and gives them to the others (arXiv:1910.02054, stage 1).
 *
 * <p>New parameters come together where gradients were, while the old ones and what the optimizer
 * remembers stay as they are; each rank takes them over once it has all. If one does, all have left
 * their share, so whoever doesn't get to it can still compute what it would remember: see {@link
 * OptimizerState#momentsAfter}. Of several groups none begins to before all have come as far.
 */
public final class ShardedUpdate implements ParameterUpdate {
  /** Parameters that go around at once. */
  private static final long ROUND = 1 << 20;

  private final AdamW adamW;
  private final ParameterBuffer parameters;
  private final OptimizerState state;
  private final Sharers ranks;
  private final boolean sharesGradients;
  private final Duration timeout;

  /**
   * @param state of this rank's shards
   * @param sharesGradients whether only gradients of the own shard are there
   */
  public ShardedUpdate(
      AdamW adamW,
      ParameterBuffer parameters,
      OptimizerState state,
      Sharers ranks,
      boolean sharesGradients,
      Duration timeout) {
    this.adamW = adamW;
    this.parameters = parameters;
    this.state = state;
    this.ranks = ranks;
    this.sharesGradients = sharesGradients;
    this.timeout = timeout;
  }

  @Override
  public double gradientNorm() {
    return sharesGradients
        ? GradientClip.norm(parameters.gradients(), state.layout(), ranks.group(), timeout)
        : GradientClip.norm(parameters.gradients());
  }

  @Override
  public void apply(AdamW.At at) {
    if (sharesGradients && state.pieces().size() > 1) {
      mirrorGradients();
    }
    for (Piece piece : state.pieces()) {
      FiledMemory.copy(piece.shard().of(parameters.gradients()), piece.gradients());
    }
    Piece own = state.pieces().getFirst();
    MemorySegment values = parameters.gradients();
    adamW.preview(parameters, own, own.shard().of(values), at);
    state.pending(new Pending(adamW, at));
    gather(values);
    if (ranks.areInGroups()) {
      ranks.all().barrier().await(timeout);
    }

    // From here to the end nothing waits, and nothing fails.
    FiledMemory.copy(values, parameters.values());
    for (Piece piece : state.pieces()) {
      state.momentsAfter(piece, piece.shard(), piece.firstMoment(), piece.secondMoment());
    }
    state.settled();
  }

  /** The own ones go to the rank that mirrors them. */
  private void mirrorGradients() {
    ShardLayout layout = state.layout();
    MemorySegment gradients = parameters.gradients();
    Communicator group = ranks.group();
    Work sent = group.send(layout.own().of(gradients), layout.next());
    group.recv(layout.of(layout.previous()).of(gradients), layout.previous()).await(timeout);
    sent.await(timeout);
  }

  /** Every rank's own shard goes to all. */
  private void gather(MemorySegment values) {
    ShardLayout layout = state.layout();
    long chunk = Math.min(layout.largest(), Math.max(1, ROUND / layout.ranks()));
    try (Arena arena = Arena.ofShared()) {
      MemorySegment own = arena.allocate(chunk * Float.BYTES, 64);
      MemorySegment all = arena.allocate(chunk * layout.ranks() * Float.BYTES, 64);
      for (long at = 0; at < layout.largest(); at += chunk) {
        Shard mine = chunk(layout.own(), at, chunk);
        own.asSlice(0, mine.size() * Float.BYTES).copyFrom(mine.of(values));
        ranks.group().allGather(own, all).await(timeout);
        for (int rank = 0; rank < layout.ranks(); rank++) {
          Shard theirs = chunk(layout.of(rank), at, chunk);
          theirs
              .of(values)
              .copyFrom(all.asSlice(rank * chunk * Float.BYTES, theirs.size() * Float.BYTES));
        }
      }
    }
  }

  /** A part of a shard; shorter, or empty, where that ends. */
  static Shard chunk(Shard shard, long at, long size) {
    long from = Math.min(shard.to(), shard.from() + at);
    return new Shard(from, Math.min(shard.to(), from + size));
  }
}
