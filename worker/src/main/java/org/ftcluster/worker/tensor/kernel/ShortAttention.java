package org.ftcluster.worker.tensor.kernel;

import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import org.ftcluster.worker.tensor.Parallel;
import org.ftcluster.worker.tensor.Tensor;

/**
 * Causal attention of one short sequence, forward and backward, in float32. A key/value head and
 * the query heads that share it are one piece of work, in blocks of query rows: {@code P =
 * softmax(scale Q Kᵀ)}, {@code O = P V}; backward {@code dV = Pᵀ dO}, {@code dS = scale P (dO Vᵀ -
 * rowsum(dO O))}, {@code dQ = dS K}, {@code dK = dSᵀ Q} (arXiv:2205.14135).
 */
public final class ShortAttention {
  /** Query rows handled at once; a block looks at no key past its last row. */
  private static final int BLOCK = 32;

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

    private int paddedTokens() {
      return Tiles.pad(tokens, Math.max(Tiles.COLUMNS, BLOCK));
    }

    private int paddedHead() {
      return Tiles.pad(headSize, Tiles.COLUMNS);
    }

    private int firstKey(int row) {
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
          Scratch s = new Scratch(shape);
          for (int head = from; head < to; head++) {
            s.readTransposed(keys, head, s.keysT);
            s.read(values, head, s.values);
            for (int g = 0; g < shape.group(); g++) {
              int queryHead = head * shape.group() + g;
              for (int row = 0; row < shape.tokens(); row += BLOCK) {
                s.readBlock(queries, queryHead, row, s.q);
                s.scores(row);
                s.softmax(row);
                s.times(s.p, s.values, s.o, row);
                s.writeBlock(s.o, out, queryHead, row);
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
          Scratch s = new Scratch(shape);
          for (int head = from; head < to; head++) {
            s.readTransposed(keys, head, s.keysT);
            s.read(keys, head, s.keys);
            s.readTransposed(values, head, s.valuesT);
            Arrays.fill(s.dKeys, 0);
            Arrays.fill(s.dValues, 0);
            for (int g = 0; g < shape.group(); g++) {
              int queryHead = head * shape.group() + g;
              statistics.read(queryHead, s.logSumExp);
              for (int row = 0; row < shape.tokens(); row += BLOCK) {
                s.readBlock(queries, queryHead, row, s.q);
                s.readBlock(outputs, queryHead, row, s.o);
                s.readBlock(gradients, queryHead, row, s.dO);
                s.scores(row);
                s.probabilities(row);
                s.transposedTimes(s.p, s.dO, s.dValues, row);
                s.scoreGradients(row);
                s.transposedTimes(s.dS, s.q, s.dKeys, row);
                s.times(s.dS, s.keys, s.dQ, row);
                s.writeBlock(s.dQ, queryGradients, queryHead, row);
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

  /** Matrices of one head, padded with zeros, and the block of query rows at hand. */
  private static final class Scratch {
    private final Shape shape;
    private final int tokens;
    private final int width;
    private final float[] row;
    final float[] keysT;
    final float[] keys;
    final float[] valuesT;
    final float[] values;
    final float[] dKeys;
    final float[] dValues;
    final float[] q;
    final float[] o;
    final float[] dO;
    final float[] dQ;
    final float[] p;
    final float[] dS;
    final float[] logSumExp;

    Scratch(Shape shape) {
      this.shape = shape;
      tokens = shape.paddedTokens();
      width = shape.paddedHead();
      row = new float[shape.headSize()];
      keysT = new float[width * tokens];
      keys = new float[tokens * width];
      valuesT = new float[width * tokens];
      values = new float[tokens * width];
      dKeys = new float[tokens * width];
      dValues = new float[tokens * width];
      q = new float[BLOCK * width];
      o = new float[BLOCK * width];
      dO = new float[BLOCK * width];
      dQ = new float[BLOCK * width];
      p = new float[BLOCK * tokens];
      dS = new float[BLOCK * tokens];
      logSumExp = new float[shape.tokens()];
    }

    void read(Rows from, int head, float[] to) {
      for (int t = 0; t < shape.tokens(); t++) {
        from.read(t, head * shape.headSize(), row, shape.headSize());
        System.arraycopy(row, 0, to, t * width, shape.headSize());
      }
    }

    void readTransposed(Rows from, int head, float[] to) {
      for (int t = 0; t < shape.tokens(); t++) {
        from.read(t, head * shape.headSize(), row, shape.headSize());
        for (int i = 0; i < row.length; i++) {
          to[i * tokens + t] = row[i];
        }
      }
    }

    /** Rows past the last token are zero. */
    void readBlock(Rows from, int head, int first, float[] to) {
      int count = Math.min(BLOCK, shape.tokens() - first);
      for (int t = 0; t < count; t++) {
        from.read(first + t, head * shape.headSize(), row, shape.headSize());
        System.arraycopy(row, 0, to, t * width, shape.headSize());
      }
      Arrays.fill(to, count * width, BLOCK * width, 0);
    }

    void writeBlock(float[] from, Rows to, int head, int first) {
      int count = Math.min(BLOCK, shape.tokens() - first);
      for (int t = 0; t < count; t++) {
        System.arraycopy(from, t * width, row, 0, shape.headSize());
        to.write(first + t, head * shape.headSize(), row, shape.headSize());
      }
    }

    void write(float[] from, Rows to, int head) {
      for (int t = 0; t < shape.tokens(); t++) {
        System.arraycopy(from, t * width, row, 0, shape.headSize());
        to.write(t, head * shape.headSize(), row, shape.headSize());
      }
    }

    /** Keys that any row of the block looks at, padded. */
    private int keyCount(int first) {
      return Tiles.pad(Math.min(first + BLOCK, shape.tokens()), Tiles.COLUMNS);
    }

    /** {@code p = Q Kᵀ} for the block, not yet scaled. */
    void scores(int first) {
      int head = shape.headSize();
      int count = keyCount(first);
      Tiles.multiply(q, 0, width, 1, keysT, tokens, p, tokens, BLOCK, head, count, false);
    }

    /** {@code out = m b} for a block m [BLOCK, keys] and b [keys, width]. */
    void times(float[] m, float[] b, float[] out, int first) {
      int count = Math.min(first + BLOCK, shape.tokens());
      Tiles.multiply(m, 0, tokens, 1, b, width, out, width, BLOCK, count, width, false);
    }

    /** {@code out += mᵀ b} for a block m [BLOCK, keys] and b [BLOCK, width]. */
    void transposedTimes(float[] m, float[] b, float[] out, int first) {
      int count = Tiles.pad(Math.min(first + BLOCK, shape.tokens()), Tiles.ROWS);
      Tiles.multiply(m, 0, 1, tokens, b, width, out, width, count, BLOCK, width, true);
    }

    /** Turns scores into probabilities, and notes each row's log of the sum. */
    void softmax(int first) {
      float scale = (float) shape.scale();
      int count = keyCount(first);
      for (int t = 0; t < BLOCK; t++) {
        int start = t * tokens;
        int from = shape.firstKey(first + t);
        int to = first + t + 1;
        if (to > shape.tokens()) {
          Arrays.fill(p, start, start + count, 0);
          continue;
        }
        float max = Float.NEGATIVE_INFINITY;
        for (int j = from; j < to; j++) {
          max = Math.max(max, p[start + j]);
        }
        exponentiate(start, count, scale, max * scale);
        Arrays.fill(p, start, start + from, 0);
        Arrays.fill(p, start + to, start + count, 0);
        float sum = 0;
        for (int j = from; j < to; j++) {
          sum += p[start + j];
        }
        float inverse = 1 / sum;
        for (int j = from; j < to; j++) {
          p[start + j] *= inverse;
        }
        logSumExp[first + t] = (float) Math.log(sum) + max * scale;
      }
    }

    /** The probabilities again, from the scores and what the forward noted. */
    void probabilities(int first) {
      float scale = (float) shape.scale();
      int count = keyCount(first);
      for (int t = 0; t < BLOCK; t++) {
        int start = t * tokens;
        if (first + t >= shape.tokens()) {
          Arrays.fill(p, start, start + count, 0);
          continue;
        }
        exponentiate(start, count, scale, logSumExp[first + t]);
        Arrays.fill(p, start, start + shape.firstKey(first + t), 0);
        Arrays.fill(p, start + first + t + 1, start + count, 0);
      }
    }

    /** {@code p = exp(scale p - shift)} over a padded row. */
    private void exponentiate(int start, int count, float scale, float shift) {
      for (int j = start; j < start + count; j += Rows.FLOATS.length()) {
        FloatVector x = FloatVector.fromArray(Rows.FLOATS, p, j).mul(scale).sub(shift);
        VectorMath.exp(x).intoArray(p, j);
      }
    }

    /** {@code dS = scale P (dO Vᵀ - rowsum(dO O))}. */
    void scoreGradients(int first) {
      int head = shape.headSize();
      int count = keyCount(first);
      Tiles.multiply(dO, 0, width, 1, valuesT, tokens, dS, tokens, BLOCK, head, count, false);
      float scale = (float) shape.scale();
      for (int t = 0; t < BLOCK; t++) {
        float projection = VectorMath.dot(dO, t * width, o, t * width, head);
        int start = t * tokens;
        for (int j = start; j < start + count; j++) {
          dS[j] = scale * p[j] * (dS[j] - projection);
        }
      }
    }
  }
}
