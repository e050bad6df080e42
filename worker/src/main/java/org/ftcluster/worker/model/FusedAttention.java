package org.ftcluster.worker.model;

import org.ftcluster.worker.tensor.Aten;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;
import org.ftcluster.worker.tensor.kernel.HeadOps;
import org.jspecify.annotations.Nullable;

/**
 * Causal attention of one sequence by libtorch's fused calls, which cap no scores.
 *
 * <p>Grouped heads need no copies: key/value heads take the place of the batch, and the query heads
 * that share one look at the same memory through a stride of 0.
 */
final class FusedAttention {
  private final ModelConfig config;

  FusedAttention(ModelConfig config) {
    this.config = config;
  }

  /**
   * @param attended [S, H C] out
   * @param in of float32, of S tokens
   * @param logSumExp float32 [H, S] out, for the backward
   */
  void forward(Pass pass, Tensor attended, QueryKeyValue in, Tensor logSumExp) {
    try (Scope scope = pass.workspace().open()) {
      Aten.Attention result =
          Aten.attention(
              scope,
              queries(in.q()),
              keys(in.k()),
              keys(in.v()),
              mask(scope, in.q()),
              config.scores().scale());
      Aten.copy(queries(attended), result.output());
      Aten.copy(statistics(logSumExp), result.logSumExp());
    }
  }

  /** Writes the gradients of {@code in} from that of {@code attended}. */
  void backward(
      Pass pass,
      QueryKeyValue gradients,
      Tensor gradient,
      Tensor attended,
      QueryKeyValue in,
      Tensor logSumExp) {
    try (Scope scope = pass.workspace().open()) {
      Aten.AttentionGradient result =
          Aten.attentionBackward(
              scope,
              queries(gradient),
              queries(in.q()),
              keys(in.k()),
              keys(in.v()),
              new Aten.Attention(queries(attended), statistics(logSumExp)),
              mask(scope, in.q()),
              config.scores().scale());
      Aten.copy(queries(gradients.q()), result.query());
      HeadOps.sumGroups(gradients.k(), result.key());
      HeadOps.sumGroups(gradients.v(), result.value());
    }
  }

  /** [S, H C] as [K, G, S, C]. */
  private Tensor queries(Tensor x) {
    long c = config.headSize();
    long g = config.groupSize();
    return x.strided(
        new long[] {config.keyValueHeads(), g, x.size(0), c},
        new long[] {g * c, c, config.querySize(), 1},
        0);
  }

  /** [S, K C] as [K, G, S, C], the same for all G. */
  private Tensor keys(Tensor x) {
    long c = config.headSize();
    return x.strided(
        new long[] {config.keyValueHeads(), config.groupSize(), x.size(0), c},
        new long[] {c, 0, config.keyValueSize(), 1},
        0);
  }

  /** [H, S] as [K, G, S]. */
  private Tensor statistics(Tensor logSumExp) {
    return logSumExp.view(config.keyValueHeads(), config.groupSize(), logSumExp.size(1));
  }

  /** Plain causal attention needs none. */
  private @Nullable Tensor mask(Scope scope, Tensor q) {
    long length = q.size(0);
    if (config.slidingWindow() == 0 || length <= config.slidingWindow()) {
      return null;
    }
    Tensor mask = scope.empty(q.dtype(), length, length);
    HeadOps.slidingWindowMask(mask, config.slidingWindow());
    return mask;
  }
}
