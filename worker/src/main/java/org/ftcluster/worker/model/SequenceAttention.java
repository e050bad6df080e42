package org.ftcluster.worker.model;

import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.FlashAttention;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;
import org.ftcluster.worker.tensor.kernel.BlockedAttention;
import org.ftcluster.worker.tensor.kernel.BlockedAttention.Products;

/**
 * Causal attention inside each sequence of a batch, one sequence after the other, so that packed
 * sequences never see each other and nothing is spent on padding.
 *
 * <p>On CPUs it runs on our own kernel: with products of bfloat16 where layers run in it and the
 * processor multiplies it, else in float32 while keys and values of a head fit the caches, or where
 * scores are capped. Beyond that libtorch's fused calls win, in float32 too: its backward takes two
 * to three times as long in bfloat16.
 */
final class SequenceAttention {
  /** Elements of a head's keys up to which ours is the faster in float32: 1,024 tokens of 64. */
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
   * @param in queries and keys as they are multiplied: rotated
   * @param saved the topmost scope, where what the backward needs is kept
   */
  Saved forward(Pass pass, Scope saved, Tensor attended, QueryKeyValue in) {
    if (attended.isOnDevice()) {
      return device.forward(pass, saved, attended, in);
    }
    Products products = Products.of(attended.dtype());
    Tensor logSumExp = saved.empty(DType.FLOAT32, attended.size(0) * config.heads());
    long start = 0;
    for (int length : pass.lengths()) {
      long end = start + length;
      Tensor out = attended.slice(0, start, end);
      QueryKeyValue own = in.slice(start, end);
      Tensor statistics = statistics(logSumExp, start, length);
      if (isOurs(products, length)) {
        try (Scope scope = pass.workspace().open()) {
          BlockedAttention.forward(
              scope, products, shape(length), out, own.q(), own.k(), own.v(), statistics);
        }
      } else {
        try (Scope scope = pass.workspace().open()) {
          fused.forward(pass, out, own.inFloat32(scope), statistics);
        }
      }
      start = end;
    }
    return new Saved.Statistics(logSumExp);
  }

  /**
   * Writes the gradients of queries, keys and values.
   *
   * @param gradients of {@code in}, out
   * @param gradient [T, H C] of {@code attended}
   */
  void backward(
      Pass pass,
      QueryKeyValue gradients,
      Tensor gradient,
      Tensor attended,
      QueryKeyValue in,
      Saved saved) {
    if (attended.isOnDevice()) {
      device.backward(pass, gradients, gradient, attended, in, saved);
      return;
    }
    Products products = Products.of(attended.dtype());
    Tensor logSumExp = saved.logSumExp();
    long start = 0;
    for (int length : pass.lengths()) {
      long end = start + length;
      QueryKeyValue ownGradients = gradients.slice(start, end);
      Tensor dOut = gradient.slice(0, start, end);
      Tensor out = attended.slice(0, start, end);
      QueryKeyValue own = in.slice(start, end);
      Tensor statistics = statistics(logSumExp, start, length);
      if (isOurs(products, length)) {
        try (Scope scope = pass.workspace().open()) {
          BlockedAttention.backward(
              scope,
              products,
              shape(length),
              ownGradients.q(),
              ownGradients.k(),
              ownGradients.v(),
              dOut,
              out,
              own.q(),
              own.k(),
              own.v(),
              statistics);
        }
      } else {
        try (Scope scope = pass.workspace().open()) {
          fused.backward(
              pass,
              ownGradients,
              QueryKeyValue.inFloat32(scope, dOut),
              QueryKeyValue.inFloat32(scope, out),
              own.inFloat32(scope),
              statistics);
        }
      }
      start = end;
    }
  }

  private boolean isOurs(Products products, int length) {
    return products == Products.BFLOAT16
        || config.scores().areCapped()
        || (long) length * config.headSize() <= SHORT;
  }

  private BlockedAttention.Shape shape(int length) {
    return new BlockedAttention.Shape(
        length,
        config.keyValueHeads(),
        config.groupSize(),
        config.headSize(),
        config.slidingWindow() == 0 ? length : config.slidingWindow(),
        config.scores());
  }

  /** The part of [T H] that belongs to rows [start, start + length), as [H, length]. */
  private Tensor statistics(Tensor logSumExp, long start, long length) {
    long from = start * config.heads();
    return logSumExp.slice(0, from, from + length * config.heads()).view(config.heads(), length);
  }
}
