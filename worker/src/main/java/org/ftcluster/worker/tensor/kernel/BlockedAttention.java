package org.ftcluster.worker.tensor.kernel;

import java.util.function.Supplier;
import org.ftcluster.worker.tensor.Brgemm;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Parallel;
import org.ftcluster.worker.tensor.Tensor;

/**
 * Causal attention of one sequence, forward and backward. A key/value head and the query heads that
 * share it are one piece of work, in blocks of query rows: {@code P = softmax(scale Q Kᵀ)}, {@code
 * O = P V}; backward {@code dV = Pᵀ dO}, {@code dS = P (dO Vᵀ - rowsum(dO O))}, {@code dQ = scale
 * dS K}, {@code dK = scale dSᵀ Q} (arXiv:2205.14135).
 *
 * <p>Scores are held transposed, a row of them a key and a lane a query: then the softmax of all of
 * a block's queries goes through their keys side by side, and never sums within a register.
 */
public final class BlockedAttention {
  private BlockedAttention() {}

  /**
   * Shapes and settings of one sequence.
   *
   * @param window tokens that a token looks back over, itself included
   */
  public record Shape(
      int tokens, int keyValueHeads, int group, int headSize, int window, double scale) {
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
   * @param products what these tensors' products are computed in; bfloat16 takes tensors of it
   * @param attended [S, H C] out
   * @param q [S, H C]
   * @param k [S, K C]
   * @param v [S, K C]
   * @param logSumExp [H][S] out, for the backward
   */
  public static void forward(
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
        "attention",
        4,
        shape,
        () ->
            switch (products) {
              case FLOAT32 -> new Float32Forward(shape, in, out);
              case BFLOAT16 -> new Bfloat16Forward(shape, in, out);
            });
  }

  /** Writes the gradients {@code dq}, {@code dk} and {@code dv} from that of {@code attended}. */
  public static void backward(
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
        "attention backward",
        10,
        shape,
        () ->
            switch (products) {
              case FLOAT32 -> new Float32Backward(shape, operands);
              case BFLOAT16 -> new Bfloat16Backward(shape, operands);
            });
  }

  /**
   * @param flops a score and head element
   * @param scratch a thread's own
   */
  private static void run(
      String kernel, int flops, Shape shape, Supplier<AttentionScratch> scratch) {
    Parallel.rows(
        new Parallel.Cost(kernel, shape.flops(flops), 0),
        shape.keyValueHeads(),
        1,
        (from, to) -> scratch.get().run(from, to));
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
