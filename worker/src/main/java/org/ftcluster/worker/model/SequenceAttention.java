package org.ftcluster.worker.model;

import org.ftcluster.worker.tensor.Aten;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;
import org.ftcluster.worker.tensor.kernel.HeadOps;
import org.ftcluster.worker.tensor.kernel.RowOps;
import org.jspecify.annotations.Nullable;

/**
 * Causal attention inside each sequence of a batch: one fused call a sequence, so that packed
 * sequences never see each other and nothing is spent on padding or on a mask.
 *
 * <p>Grouped heads need no copies: key/value heads take the place of the batch, and the query heads
 * that share one look at the same memory through a stride of 0.
 *
 * <p>The fused calls run in float32 also where products run in bfloat16: on CPUs libtorch's
 * backward is two to three times as fast that way for sequences of a few hundred tokens, and no
 * slower for longer ones.
 */
final class SequenceAttention {
  private final ModelConfig config;
  private final double scale;

  SequenceAttention(ModelConfig config) {
    this.config = config;
    this.scale = 1 / Math.sqrt(config.headSize());
  }

  /**
   * Writes the heads' outputs side by side.
   *
   * @param attended [T, H C] out
   * @param q [T, H C], rotated
   * @param k [T, K C], rotated
   * @param v [T, K C]
   * @param logSumExp float32 [T H], kept for the backward: [K, G, length] of each sequence in turn
   */
  void forward(Pass pass, Tensor attended, Tensor q, Tensor k, Tensor v, Tensor logSumExp) {
    try (Scope scope = pass.workspace().open()) {
      Tensor qf = inFloat32(scope, q);
      Tensor kf = inFloat32(scope, k);
      Tensor vf = inFloat32(scope, v);
      long start = 0;
      for (int length : pass.lengths()) {
        try (Scope temporary = pass.workspace().open()) {
          Aten.Attention result =
              Aten.attention(
                  temporary,
                  queries(qf, start, length),
                  keys(kf, start, length),
                  keys(vf, start, length),
                  mask(temporary, length),
                  scale);
          Aten.copy(queries(attended, start, length), result.output());
          Aten.copy(statistics(logSumExp, start, length), result.logSumExp());
        }
        start += length;
      }
    }
  }

  /**
   * Writes {@code dq}, {@code dk} and {@code dv}, shaped as {@code q}, {@code k} and {@code v}.
   *
   * @param gradient [T, H C] of {@code attended}
   */
  void backward(
      Pass pass,
      Tensor gradient,
      Tensor attended,
      Tensor q,
      Tensor k,
      Tensor v,
      Tensor logSumExp,
      Tensor dq,
      Tensor dk,
      Tensor dv) {
    try (Scope scope = pass.workspace().open()) {
      Tensor gf = inFloat32(scope, gradient);
      Tensor af = inFloat32(scope, attended);
      Tensor qf = inFloat32(scope, q);
      Tensor kf = inFloat32(scope, k);
      Tensor vf = inFloat32(scope, v);
      long start = 0;
      for (int length : pass.lengths()) {
        try (Scope temporary = pass.workspace().open()) {
          Aten.AttentionGradient gradients =
              Aten.attentionBackward(
                  temporary,
                  queries(gf, start, length),
                  queries(qf, start, length),
                  keys(kf, start, length),
                  keys(vf, start, length),
                  new Aten.Attention(
                      queries(af, start, length), statistics(logSumExp, start, length)),
                  mask(temporary, length),
                  scale);
          Aten.copy(queries(dq, start, length), gradients.query());
          HeadOps.sumGroups(dk.slice(0, start, start + length), gradients.key());
          HeadOps.sumGroups(dv.slice(0, start, start + length), gradients.value());
        }
        start += length;
      }
    }
  }

  private static Tensor inFloat32(Scope scope, Tensor x) {
    if (x.dtype() == DType.FLOAT32) {
      return x;
    }
    Tensor copy = scope.empty(DType.FLOAT32, x.shape());
    RowOps.copy(copy, x);
    return copy;
  }

  /** The part of [T H] that belongs to rows [start, start + length), as [K, G, length]. */
  private Tensor statistics(Tensor logSumExp, long start, long length) {
    long from = start * config.heads();
    return logSumExp
        .slice(0, from, from + length * config.heads())
        .view(config.keyValueHeads(), config.groupSize(), length);
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
  private @Nullable Tensor mask(Scope scope, int length) {
    if (config.slidingWindow() == 0 || length <= config.slidingWindow()) {
      return null;
    }
    Tensor mask = scope.empty(DType.FLOAT32, length, length);
    HeadOps.slidingWindowMask(mask, config.slidingWindow());
    return mask;
  }
}
