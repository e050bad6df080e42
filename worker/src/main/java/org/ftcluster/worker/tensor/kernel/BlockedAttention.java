package org.ftcluster.worker.tensor.kernel;

import java.util.function.IntFunction;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.ftcluster.worker.tensor.Brgemm;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Parallel;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;

/**
 * Causal attention of one sequence, forward and backward. A key/value head and the query heads that
 * share it are one piece of work, in blocks of query rows: {@code P = softmax(scale Q Kᵀ)}, {@code
 * O = P V}; backward {@code dV = Pᵀ dO}, {@code dS = P (dO Vᵀ - rowsum(dO O))}, {@code dQ = scale
 * dS K}, {@code dK = scale dSᵀ Q} (arXiv:2205.14135). Where scores S are capped, {@code dS} is
 * multiplied by {@code 1 - (S / cap)²}.
 */
public final class BlockedAttention {
  private BlockedAttention() {}

  /**
   * Shapes and settings of one sequence.
   *
   * @param window tokens that a token looks back over, itself included
   */
  public record Shape(
      int tokens, int keyValueHeads, int group, int headSize, int window, Scores scores) {
    /** Of products that take {@code each} operations a score and head element. */
    private double flops(int each) {
      double scores = 0;
      for (int row = 0; row < tokens; row++) {
        scores += row + 1 - firstKey(row);
      }
      return each * scores * keyValueHeads * group * headSize;
    }

    /** The oldest that a row looks at. */
    int firstKey(int row) {
      return Math.max(0, row - window + 1);
    }
  }

  /** What products are computed in; sums are float32. */
  public enum Products {
    FLOAT32,
    BFLOAT16;

    /** The fastest for values of a type that loses nothing by it but what it rounds away itself. */
    public static Products of(DType values) {
      return values == DType.BFLOAT16 && Brgemm.isAvailable() ? BFLOAT16 : FLOAT32;
    }
  }

  /** Queries [S, H C], keys and values [S, K C], or their gradients. */
  record Inputs(Rows queries, Rows keys, Rows values) {
    private static Inputs of(Shape shape, Tensor q, Tensor k, Tensor v) {
      return new Inputs(rows(q, shape, shape.group()), rows(k, shape, 1), rows(v, shape, 1));
    }
  }

  /**
   * What the forward leaves.
   *
   * @param attended [S, H C]
   * @param logSumExp [H][S]
   */
  record Outputs(Rows attended, Rows logSumExp) {
    private static Outputs of(Shape shape, Tensor attended, Tensor logSumExp) {
      return new Outputs(rows(attended, shape, shape.group()), Rows.of(logSumExp));
    }
  }

  /**
   * What the backward goes by.
   *
   * @param forward what it left
   * @param gradient of the output, [S, H C]
   * @param gradients out
   */
  record Backward(Inputs in, Outputs forward, Rows gradient, Inputs gradients) {}

  /**
   * @param scope has room for what the call needs meanwhile
   * @param products what these tensors' products are computed in; bfloat16 takes tensors of it
   * @param attended [S, H C] out
   * @param q [S, H C]
   * @param k [S, K C]
   * @param v [S, K C]
   * @param logSumExp [H][S] out, for the backward
   */
  public static void forward(
      Scope scope,
      Products products,
      Shape shape,
      Tensor attended,
      Tensor q,
      Tensor k,
      Tensor v,
      Tensor logSumExp) {
    Inputs in = Inputs.of(shape, q, k, v);
    Outputs out = Outputs.of(shape, attended, logSumExp);
    run(
        new Parallel.Cost("attention", shape.flops(4), 0),
        shape,
        switch (products) {
          case FLOAT32 -> thread -> new Float32Forward(shape, in, out);
          case BFLOAT16 -> ofThreads(shape, () -> new Bfloat16Forward(scope, shape, in, out));
        });
  }

  /** Writes the gradients {@code dq}, {@code dk} and {@code dv} from that of {@code attended}. */
  public static void backward(
      Scope scope,
      Products products,
      Shape shape,
      Tensor dq,
      Tensor dk,
      Tensor dv,
      Tensor gradient,
      Tensor attended,
      Tensor q,
      Tensor k,
      Tensor v,
      Tensor logSumExp) {
    Backward operands =
        new Backward(
            Inputs.of(shape, q, k, v),
            Outputs.of(shape, attended, logSumExp),
            rows(gradient, shape, shape.group()),
            Inputs.of(shape, dq, dk, dv));
    run(
        new Parallel.Cost("attention backward", shape.flops(10), 0),
        shape,
        switch (products) {
          case FLOAT32 -> thread -> new Float32Backward(shape, operands);
          case BFLOAT16 -> ofThreads(shape, () -> new Bfloat16Backward(scope, shape, operands));
        });
  }

  /** Made before the threads begin, since a scope belongs to one. */
  private static IntFunction<AttentionScratch> ofThreads(
      Shape shape, Supplier<AttentionScratch> scratch) {
    return Stream.generate(scratch).limit(threads(shape)).toList()::get;
  }

  private static int threads(Shape shape) {
    return Math.min(Parallel.threads(), shape.keyValueHeads());
  }

  /**
   * @param scratch a thread's own, by its number
   */
  private static void run(Parallel.Cost cost, Shape shape, IntFunction<AttentionScratch> scratch) {
    AttentionScratch[] threads = new AttentionScratch[threads(shape)];
    Parallel.rows(
        cost,
        shape.keyValueHeads(),
        1,
        (thread, from, to) -> {
          if (threads[thread] == null) {
            threads[thread] = scratch.apply(thread);
          }
          threads[thread].run(from, to);
        });
  }

  private static Rows rows(Tensor tensor, Shape shape, int heads) {
    Rows rows = Rows.of(tensor);
    int width = shape.keyValueHeads() * heads * shape.headSize();
    if (tensor.size(0) != shape.tokens() || rows.width() != width) {
      throw new IllegalArgumentException("attention of %s over %s".formatted(shape, tensor));
    }
    return rows;
  }
}
