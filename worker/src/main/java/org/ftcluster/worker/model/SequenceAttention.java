package org.ftcluster.worker.model;

import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.FlashAttention;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;
import org.ftcluster.worker.tensor.kernel.RowOps;
import org.ftcluster.worker.tensor.kernel.ShortAttention;

/**
 * Causal attention inside each sequence of a batch, one sequence after the other, so that packed
 * sequences never see each other and nothing is spent on padding.
 *
 * <p>All of it runs in float32, also where products run in bfloat16: on CPUs libtorch's backward
 * for short sequences takes two to three times as long in bfloat16. While keys and values of a head
 * fit the caches our own kernel takes half the time of libtorch's; beyond that libtorch's fused
 * calls win.
 */
final class SequenceAttention {
  /** Elements of a head's keys up to which our kernel is the faster one: 1,024 tokens of 64. */
  private static final long SHORT = 1 << 16;

  private final ModelConfig config;
  private final FusedAttention fused;
  private final DeviceSequenceAttention device;

  SequenceAttention(ModelConfig config) {
    this.config = config;
    this.fused = new FusedAttention(config);
    this.device = new DeviceSequenceAttention(config);
  }

  /** What the backward needs besides inputs and output. */
  sealed interface Saved {
    /** float32. */
    default Tensor logSumExp() {
      throw new IllegalStateException("the softmax's denominators are libtorch's");
    }

    /**
     * Of our own kernels.
     *
     * @param logSumExp float32 [T H]: on the host [H, length] of each sequence in turn
     */
    record Statistics(Tensor logSumExp) implements Saved {}

    /** Of libtorch's on a GPU. */
    record Flash(FlashAttention.Saved kept) implements Saved {}
  }

  /**
   * Writes the heads' outputs side by side.
   *
   * @param attended [T, H C] out
   * @param q [T, H C], rotated
   * @param k [T, K C], rotated
   * @param v [T, K C]
   * @param saved the topmost scope, where what the backward needs is kept
   */
  Saved forward(Pass pass, Scope saved, Tensor attended, Tensor q, Tensor k, Tensor v) {
    if (q.isOnDevice()) {
      return device.forward(pass, saved, attended, q, k, v);
    }
    Tensor logSumExp = saved.empty(DType.FLOAT32, q.size(0) * config.heads());
    long start = 0;
    for (int length : pass.lengths()) {
      long end = start + length;
      Tensor out = attended.slice(0, start, end);
      Tensor queries = q.slice(0, start, end);
      Tensor keys = k.slice(0, start, end);
      Tensor values = v.slice(0, start, end);
      Tensor statistics = statistics(logSumExp, start, length);
      if (isShort(length)) {
        ShortAttention.forward(shape(length), out, queries, keys, values, statistics);
      } else {
        try (Scope scope = pass.workspace().open()) {
          fused.forward(
              pass,
              out,
              inFloat32(scope, queries),
              inFloat32(scope, keys),
              inFloat32(scope, values),
              statistics);
        }
      }
      start = end;
    }
    return new Saved.Statistics(logSumExp);
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
      Saved saved,
      Tensor dq,
      Tensor dk,
      Tensor dv) {
    if (q.isOnDevice()) {
      device.backward(pass, gradient, attended, q, k, v, saved, dq, dk, dv);
      return;
    }
    Tensor logSumExp = saved.logSumExp();
    long start = 0;
    for (int length : pass.lengths()) {
      long end = start + length;
      Tensor queryGradient = dq.slice(0, start, end);
      Tensor keyGradient = dk.slice(0, start, end);
      Tensor valueGradient = dv.slice(0, start, end);
      Tensor dOut = gradient.slice(0, start, end);
      Tensor out = attended.slice(0, start, end);
      Tensor queries = q.slice(0, start, end);
      Tensor keys = k.slice(0, start, end);
      Tensor values = v.slice(0, start, end);
      Tensor statistics = statistics(logSumExp, start, length);
      if (isShort(length)) {
        ShortAttention.backward(
            shape(length),
            queryGradient,
            keyGradient,
            valueGradient,
            dOut,
            out,
            queries,
            keys,
            values,
            statistics);
      } else {
        try (Scope scope = pass.workspace().open()) {
          fused.backward(
              pass,
              queryGradient,
              keyGradient,
              valueGradient,
              inFloat32(scope, dOut),
              inFloat32(scope, out),
              inFloat32(scope, queries),
              inFloat32(scope, keys),
              inFloat32(scope, values),
              statistics);
        }
      }
      start = end;
    }
  }

  private boolean isShort(int length) {
    return (long) length * config.headSize() <= SHORT;
  }

  private ShortAttention.Shape shape(int length) {
    return new ShortAttention.Shape(
        length,
        config.keyValueHeads(),
        config.groupSize(),
        config.headSize(),
        config.slidingWindow() == 0 ? length : config.slidingWindow(),
        config.attentionScale());
  }

  private static Tensor inFloat32(Scope scope, Tensor x) {
    if (x.dtype() == DType.FLOAT32) {
      return x;
    }
    Tensor copy = scope.empty(DType.FLOAT32, x.shape());
    RowOps.copy(copy, x);
    return copy;
  }

  /** The part of [T H] that belongs to rows [start, start + length), as [H, length]. */
  private Tensor statistics(Tensor logSumExp, long start, long length) {
    long from = start * config.heads();
    return logSumExp.slice(0, from, from + length * config.heads()).view(config.heads(), length);
  }
}
