package org.ftcluster.worker.model;

import java.util.ArrayList;
import java.util.List;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;
import org.ftcluster.worker.tensor.Workspace;
import org.jspecify.annotations.Nullable;

/** Attention, then feed-forward, each added to what came in. */
final class DecoderLayer {
  private final AttentionBlock attention;
  private final FeedForwardBlock feedForward;

  /** What the backward needs. */
  record Saved(AttentionBlock.Saved attention, FeedForwardBlock.Saved feedForward) {}

  DecoderLayer(AttentionBlock attention, FeedForwardBlock feedForward) {
    this.attention = attention;
    this.feedForward = feedForward;
  }

  AttentionBlock attention() {
    return attention;
  }

  FeedForwardBlock feedForward() {
    return feedForward;
  }

  List<Linear> linears() {
    List<Linear> linears = new ArrayList<>(attention.linears());
    linears.addAll(feedForward.linears());
    return linears;
  }

  /**
   * @param saved the topmost scope, where what the backward needs is kept
   * @param y [T, D] out, or [N, D] where {@code rows} are given; of a slice its own rows of that
   * @param x [T, D], of a slice its own rows
   * @param rows of all of {@code x} that {@code y} is needed for; null for all
   */
  Saved forward(Pass pass, Scope saved, Tensor y, Tensor x, int @Nullable [] rows) {
    Tensor middle = saved.empty(y.dtype(), y.shape());
    AttentionBlock.Saved first = attention.forward(pass, saved, middle, x, rows);
    return new Saved(first, feedForward.forward(pass, saved, y, middle));
  }

  /**
   * @param dx [T, D]: {@code dy} itself where all rows were needed, else zeros; becomes the
   *     gradient of the input
   * @param dy gradient of the output; overwritten
   * @param wantInput whether anything from the layer's first norm down needs a gradient
   */
  void backward(Pass pass, Tensor dx, Tensor dy, Saved saved, boolean wantInput) {
    feedForward.backward(pass, dy, saved.feedForward());
    attention.backward(pass, dx, dy, saved.attention(), wantInput);
  }

  /** One new token a sequence: {@code x} [B, D] becomes the layer's output. */
  void decode(Workspace workspace, Tensor x, KeyValueCache cache, int layer) {
    try (Scope scope = workspace.open()) {
      Tensor middle = scope.empty(x.dtype(), x.shape());
      attention.decode(workspace, middle, x, cache, layer);
      Pass pass = new Pass(workspace, cache.lengths(), cache.lengths(), 0, false, 0, true);
      feedForward.forward(pass, scope, x, middle);
    }
  }
}
