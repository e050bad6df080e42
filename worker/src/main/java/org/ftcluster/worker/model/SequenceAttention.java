package org.ftcluster.worker.model;

import java.util.ArrayList;
import java.util.List;
import org.ftcluster.worker.tensor.Aten;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;
import org.ftcluster.worker.tensor.kernel.HeadOps;
import org.jspecify.annotations.Nullable;

/**
 * Causal attention inside each sequence of a batch: one fused call a sequence, so that packed
 * sequences never see each other and nothing is spent on padding or on a mask.
 *
 * <p>Grouped heads need no copies: key/value heads take the place of the batch, and the query heads
 * that share one look at the same memory through a stride of 0.
 */
final class SequenceAttention {
  private final ModelConfig config;
  private final double scale;

  SequenceAttention(ModelConfig config) {
    this.config = config;
    this.scale = 1 / Math.sqrt(config.headSize());
  }

  /**
   * @param saved where the results stay
   * @param q [T, H C], rotated
   * @param k [T, K C], rotated
   * @param v [T, K C]
   * @return for each sequence [K, G, S, C]
   */
  List<Aten.Attention> forward(Pass pass, Scope saved, Tensor q, Tensor k, Tensor v) {
    List<Aten.Attention> results = new ArrayList<>(pass.lengths().length);
    long start = 0;
    for (int length : pass.lengths()) {
      try (Scope temporary = pass.workspace().open()) {
        Tensor mask = mask(temporary, q, length);
        results.add(
            Aten.attention(
                saved,
                queries(q, start, length),
                keys(k, start, length),
                keys(v, start, length),
                mask,
                scale));
      }
      start += length;
    }
    return results;
  }

  /** Writes the heads' outputs side by side: {@code attended} [T, H C]. */
  void collect(Pass pass, Tensor attended, List<Aten.Attention> results) {
    long start = 0;
    for (int i = 0; i < pass.lengths().length; i++) {
      Aten.copy(queries(attended, start, pass.lengths()[i]), results.get(i).output());
      start += pass.lengths()[i];
    }
  }

  /**
   * Writes {@code dq}, {@code dk} and {@code dv}, shaped as {@code q}, {@code k} and {@code v}.
   *
   * @param gradient [T, H C] of {@link #collect}'s result
   */
  void backward(
      Pass pass,
      Tensor gradient,
      Tensor q,
      Tensor k,
      Tensor v,
      List<Aten.Attention> results,
      Tensor dq,
      Tensor dk,
      Tensor dv) {
    long start = 0;
    for (int i = 0; i < pass.lengths().length; i++) {
      int length = pass.lengths()[i];
      try (Scope temporary = pass.workspace().open()) {
        Aten.AttentionGradient gradients =
            Aten.attentionBackward(
                temporary,
                queries(gradient, start, length),
                queries(q, start, length),
                keys(k, start, length),
                keys(v, start, length),
                results.get(i),
                mask(temporary, q, length),
                scale);
        Aten.copy(queries(dq, start, length), gradients.query());
        HeadOps.sumGroups(dk.slice(0, start, start + length), gradients.key());
        HeadOps.sumGroups(dv.slice(0, start, start + length), gradients.value());
      }
      start += length;
    }
  }

  /** Rows [start, start + length) of [T, H C] as [K, G, length, C]. */
  private Tensor queries(Tensor x, long start, long length) {
    long c = config.headSize();
    long g = config.groupSize();
    return x.strided(
        new long[] {config.keyValueHeads(), g, length, c},
        new long[] {g * c, c, config.querySize(), 1},
        start * config.querySize());
  }

  /** Rows [start, start + length) of [T, K C] as [K, G, length, C], the same for all G. */
  private Tensor keys(Tensor x, long start, long length) {
    long c = config.headSize();
    return x.strided(
        new long[] {config.keyValueHeads(), config.groupSize(), length, c},
        new long[] {c, 0, config.keyValueSize(), 1},
        start * config.keyValueSize());
  }

  /** Plain causal attention needs none. */
  private @Nullable Tensor mask(Scope scope, Tensor like, int length) {
    if (config.slidingWindow() == 0 || length <= config.slidingWindow()) {
      return null;
    }
    Tensor mask = scope.empty(like.dtype(), length, length);
    HeadOps.slidingWindowMask(mask, config.slidingWindow());
    return mask;
  }
}
