package org.ftcluster.worker.optimizer;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.collective.Work;
import org.ftcluster.worker.model.ParameterBuffer;
import org.ftcluster.worker.optimizer.OptimizerState.Pending;
import org.ftcluster.worker.optimizer.OptimizerState.Piece;

/**
 * Every rank updates its own shards of the values, and those that it mirrors, and gives them to
 * nobody: others gather what they need when they need it (arXiv:1910.02054, stage 3).
 *
 * <p>Nobody begins before all have the gradients of the step. So if one rank has completed it,
 * whoever hasn't can still compute what it would have come to: see {@link
 * OptimizerState#valuesAfter}.
 */
public final class FullyShardedUpdate implements ParameterUpdate {
  private final AdamW adamW;
  private final List<ParameterBuffer.Slice> tensors;
  private final OptimizerState state;
  private final Sharers ranks;
  private final Duration timeout;

  /**
   * @param tensors of all parameters
   * @param state of this rank's shards, beside which their gradients are
   */
  public FullyShardedUpdate(
      AdamW adamW,
      List<ParameterBuffer.Slice> tensors,
      OptimizerState state,
      Sharers ranks,
      Duration timeout) {
    this.adamW = adamW;
    this.tensors = tensors;
    this.state = state;
    this.ranks = ranks;
    this.timeout = timeout;
  }

  @Override
  public double gradientNorm() {
    return GradientClip.norm(state, ranks.group(), timeout);
  }

  @Override
  public void apply(AdamW.At at) {
    mirrorGradients();
    state.pending(new Pending(adamW, at));
    ranks.all().barrier().await(timeout);

    // From here to the end nothing waits, and nothing fails.
    state.pieces().forEach(piece -> adamW.update(tensors, piece, at));
    state.settled();
  }

  /** The own ones go to the rank that mirrors them. */
  private void mirrorGradients() {
    List<Piece> own = state.ownPieces();
    List<Piece> mirrored = state.pieces().subList(own.size(), state.pieces().size());
    if (mirrored.isEmpty()) {
      return;
    }
    Communicator group = ranks.group();
    List<Work> transfers = new ArrayList<>();
    for (Piece piece : own) {
      if (piece.shard().size() > 0) {
        transfers.add(group.send(piece.gradients(), state.layout().next()));
      }
    }
    for (Piece piece : mirrored) {
      if (piece.shard().size() > 0) {
        transfers.add(group.recv(piece.gradients(), state.layout().previous()));
      }
    }
    transfers.forEach(transfer -> transfer.await(timeout));
  }
}
