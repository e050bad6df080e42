package org.ftcluster.worker.tensor.kernel;

import org.ftcluster.worker.tensor.Parallel;
import org.ftcluster.worker.tensor.Tensor;
import org.ftcluster.worker.tensor.kernel.AttentionScratch.Block;

/**
 * Causal attention of one short sequence, forward and backward, in float32. A key/value head and
 * the query heads that share it are one piece of work, in blocks of query rows: {@code P =
 * softmax(scale Q Kᵀ)}, {@code O = P V}; backward {@code dV = Pᵀ dO}, {@code dS = P (dO Vᵀ -
 * rowsum(dO O))}, {@code dQ = scale dS K}, {@code dK = scale dSᵀ Q} (arXiv:2205.14135).
 *
 * <p>Scores are held transposed, a row of them a key and a lane a query: then the softmax of all of
 * a block's queries goes through their keys side by side, and never sums within a register.
 */
public final class ShortAttention {
  private ShortAttention() {}

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

  /**
   * @param attended [S, H C] out
   * @param q [S, H C]
   * @param k [S, K C]
   * @param v [S, K C]
   * @param logSumExp [H][S] out, for the backward
   */
  public static void forward(
      Shape shape, Tensor attended, Tensor q, Tensor k, Tensor v, Tensor logSumExp) {
    Rows out = rows(attended, shape, shape.group());
    Rows queries = rows(q, shape, shape.group());
    Rows keys = rows(k, shape, 1);
    Rows values = rows(v, shape, 1);
    Rows statistics = Rows.of(logSumExp);
    Parallel.rows(
        new Parallel.Cost("attention", shape.flops(4), 0),
        shape.keyValueHeads(),
        1,
        (from, to) -> {
          AttentionForward s = new AttentionForward(shape);
          for (int head = from; head < to; head++) {
            s.read(keys, head, s.keys);
            s.read(values, head, s.values);
            for (int g = 0; g < shape.group(); g++) {
              int queryHead = head * shape.group() + g;
              for (int row = 0; row < shape.tokens(); row += AttentionScratch.BLOCK) {
                Block block = Block.at(shape, row);
                s.readQueries(queries, queryHead, block);
                s.run(block);
                s.writeBlock(s.o, out, queryHead, block);
              }
              statistics.write(queryHead, s.logSumExp);
            }
          }
        });
  }

  /** Writes the gradients {@code dq}, {@code dk} and {@code dv} from that of {@code attended}. */
  public static void backward(
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
    Rows gradients = rows(gradient, shape, shape.group());
    Rows outputs = rows(attended, shape, shape.group());
    Rows queries = rows(q, shape, shape.group());
    Rows keys = rows(k, shape, 1);
    Rows values = rows(v, shape, 1);
    Rows queryGradients = rows(dq, shape, shape.group());
    Rows keyGradients = rows(dk, shape, 1);
    Rows valueGradients = rows(dv, shape, 1);
    Rows statistics = Rows.of(logSumExp);
    Parallel.rows(
        new Parallel.Cost("attention backward", shape.flops(10), 0),
        shape.keyValueHeads(),
        1,
        (from, to) -> {
          AttentionBackward s = new AttentionBackward(shape);
          for (int head = from; head < to; head++) {
            s.read(keys, head, s.keys);
            s.read(values, head, s.values);
            s.clear();
            for (int g = 0; g < shape.group(); g++) {
              int queryHead = head * shape.group() + g;
              statistics.read(queryHead, s.logSumExp);
              for (int row = 0; row < shape.tokens(); row += AttentionScratch.BLOCK) {
                Block block = Block.at(shape, row);
                s.readQueries(queries, queryHead, block);
                s.readBlock(outputs, queryHead, block, s.o);
                s.readBlock(gradients, queryHead, block, s.dO);
                s.run(block);
                s.writeBlock(s.dQ, queryGradients, queryHead, block);
              }
            }
            s.write(s.dKeys, keyGradients, head);
            s.write(s.dValues, valueGradients, head);
          }
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
