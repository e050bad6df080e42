package org.ftcluster.worker.tensor.kernel;

import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import org.ftcluster.worker.tensor.Parallel;
import org.ftcluster.worker.tensor.Tensor;

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
  /** Query rows handled at once; a block looks at no key past its last row. */
  private static final int BLOCK = Tiles.COLUMNS;

  private static final int LANES = Rows.FLOATS.length();

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

    /** With room for the last block's queries. */
    private int paddedTokens() {
      return Tiles.pad(tokens, BLOCK);
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
            s.read(keys, head, s.keys);
            s.read(values, head, s.values);
            for (int g = 0; g < shape.group(); g++) {
              int queryHead = head * shape.group() + g;
              for (int row = 0; row < shape.tokens(); row += BLOCK) {
                Block block = Block.at(shape, row);
                s.readQueries(queries, queryHead, block);
                s.scores(s.p, s.keys, s.queriesT, block);
                s.hide(s.p, block);
                s.softmax(block);
                s.times(s.p, s.values, s.o, block);
                s.scaleRows(s.o, s.inverse);
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
          Scratch s = new Scratch(shape);
          for (int head = from; head < to; head++) {
            s.read(keys, head, s.keys);
            s.read(values, head, s.values);
            Arrays.fill(s.dKeys, 0);
            Arrays.fill(s.dValues, 0);
            for (int g = 0; g < shape.group(); g++) {
              int queryHead = head * shape.group() + g;
              statistics.read(queryHead, s.logSumExp);
              for (int row = 0; row < shape.tokens(); row += BLOCK) {
                Block block = Block.at(shape, row);
                s.readQueries(queries, queryHead, block);
                s.readBlock(outputs, queryHead, block, s.o);
                s.readBlock(gradients, queryHead, block, s.dO);
                s.transpose(s.dO, s.dOT);
                s.scores(s.p, s.keys, s.queriesT, block);
                s.hide(s.p, block);
                s.scores(s.dS, s.values, s.dOT, block);
                s.scoreGradients(block);
                s.transposedTimes(s.p, s.dO, s.dValues, block);
                s.transposedTimes(s.dS, s.queries, s.dKeys, block);
                s.times(s.dS, s.keys, s.dQ, block);
                s.scaleRows(s.dQ, (float) shape.scale());
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

  /**
   * Query rows [first, first + BLOCK) and the keys [from, to) that they look at, both multiples of
   * a tile's rows.
   *
   * @param count those of the query rows that there are
   */
  private record Block(int first, int count, int from, int to) {
    static Block at(Shape shape, int first) {
      int end = Math.min(first + BLOCK, shape.tokens());
      return new Block(
          first,
          end - first,
          shape.firstKey(first) / Tiles.ROWS * Tiles.ROWS,
          Tiles.pad(end, Tiles.ROWS));
    }
  }

  /** Matrices of one head, padded with zeros, and those of the block of query rows at hand. */
  private static final class Scratch {
    private final Shape shape;
    private final int width;
    private final float[] row;

    /** [tokens, width]. */
    final float[] keys;

    final float[] values;
    final float[] dKeys;
    final float[] dValues;

    /** [BLOCK, width]; the queries already scaled. */
    final float[] queries;

    final float[] o;
    final float[] dO;
    final float[] dQ;

    /** [width, BLOCK]. */
    final float[] queriesT;

    final float[] dOT;

    /** [tokens, BLOCK]. */
    final float[] p;

    final float[] dS;

    /** [BLOCK]: one by the sum that makes probabilities of exponentials; rowsum(dO O). */
    final float[] inverse = new float[BLOCK];

    final float[] projection = new float[BLOCK];
    final float[] logSumExp;

    Scratch(Shape shape) {
      this.shape = shape;
      int tokens = shape.paddedTokens();
      width = shape.paddedHead();
      row = new float[shape.headSize()];
      keys = new float[tokens * width];
      values = new float[tokens * width];
      dKeys = new float[tokens * width];
      dValues = new float[tokens * width];
      queries = new float[BLOCK * width];
      o = new float[BLOCK * width];
      dO = new float[BLOCK * width];
      dQ = new float[BLOCK * width];
      queriesT = new float[width * BLOCK];
      dOT = new float[width * BLOCK];
      p = new float[tokens * BLOCK];
      dS = new float[tokens * BLOCK];
      logSumExp = new float[tokens];
    }

    void read(Rows from, int head, float[] to) {
      for (int t = 0; t < shape.tokens(); t++) {
        from.read(t, head * shape.headSize(), row, shape.headSize());
        System.arraycopy(row, 0, to, t * width, shape.headSize());
      }
    }

    /** Rows past the last token are zero. */
    void readBlock(Rows from, int head, Block block, float[] to) {
      for (int t = 0; t < block.count(); t++) {
        from.read(block.first() + t, head * shape.headSize(), row, shape.headSize());
        System.arraycopy(row, 0, to, t * width, shape.headSize());
      }
      Arrays.fill(to, block.count() * width, BLOCK * width, 0);
    }

    void readQueries(Rows from, int head, Block block) {
      readBlock(from, head, block, queries);
      scaleRows(queries, (float) shape.scale());
      transpose(queries, queriesT);
    }

    void transpose(float[] from, float[] to) {
      for (int t = 0; t < BLOCK; t++) {
        for (int i = 0; i < width; i++) {
          to[i * BLOCK + t] = from[t * width + i];
        }
      }
    }

    void writeBlock(float[] from, Rows to, int head, Block block) {
      for (int t = 0; t < block.count(); t++) {
        System.arraycopy(from, t * width, row, 0, shape.headSize());
        to.write(block.first() + t, head * shape.headSize(), row, shape.headSize());
      }
    }

    void write(float[] from, Rows to, int head) {
      for (int t = 0; t < shape.tokens(); t++) {
        System.arraycopy(from, t * width, row, 0, shape.headSize());
        to.write(t, head * shape.headSize(), row, shape.headSize());
      }
    }

    void scaleRows(float[] block, float factor) {
      for (int i = 0; i < BLOCK * width; i++) {
        block[i] *= factor;
      }
    }

    void scaleRows(float[] block, float[] factors) {
      for (int t = 0; t < BLOCK; t++) {
        float factor = factors[t];
        for (int i = t * width; i < (t + 1) * width; i++) {
          block[i] *= factor;
        }
      }
    }

    /** {@code scores = m bᵀ}, for m [tokens, width] and a block's transposed b. */
    void scores(float[] scores, float[] m, float[] transposed, Block block) {
      Tiles.multiply(
          m,
          block.from() * width,
          width,
          1,
          transposed,
          0,
          BLOCK,
          scores,
          block.from() * BLOCK,
          BLOCK,
          block.to() - block.from(),
          shape.headSize(),
          BLOCK,
          false);
    }

    /** {@code out = sᵀ m} for scores s [tokens, BLOCK] and m [tokens, width]. */
    void times(float[] scores, float[] m, float[] out, Block block) {
      Tiles.multiply(
          scores,
          block.from() * BLOCK,
          1,
          BLOCK,
          m,
          block.from() * width,
          width,
          out,
          0,
          width,
          BLOCK,
          block.to() - block.from(),
          width,
          false);
    }

    /** {@code out += s b} for scores s [tokens, BLOCK] and a block b [BLOCK, width]. */
    void transposedTimes(float[] scores, float[] b, float[] out, Block block) {
      Tiles.multiply(
          scores,
          block.from() * BLOCK,
          BLOCK,
          1,
          b,
          0,
          width,
          out,
          block.from() * width,
          width,
          block.to() - block.from(),
          BLOCK,
          width,
          true);
    }

    /**
     * Turns scores into exponentials that {@code inverse} makes probabilities of, and notes each
     * row's log of the sum.
     */
    void softmax(Block block) {
      for (int lane = 0; lane < BLOCK; lane += LANES) {
        FloatVector max = FloatVector.broadcast(Rows.FLOATS, Float.NEGATIVE_INFINITY);
        for (int key = block.from(); key < block.to(); key++) {
          max = max.max(FloatVector.fromArray(Rows.FLOATS, p, key * BLOCK + lane));
        }
        FloatVector sum = FloatVector.zero(Rows.FLOATS);
        for (int key = block.from(); key < block.to(); key++) {
          int at = key * BLOCK + lane;
          FloatVector e = VectorMath.exp(FloatVector.fromArray(Rows.FLOATS, p, at).sub(max));
          e.intoArray(p, at);
          sum = sum.add(e);
        }
        sum.intoArray(inverse, lane);
        max.intoArray(logSumExp, block.first() + lane);
      }
      for (int t = 0; t < BLOCK; t++) {
        logSumExp[block.first() + t] += (float) Math.log(inverse[t]);
        inverse[t] = 1 / inverse[t];
      }
    }

    /**
     * The probabilities again, from scores in {@code p} and what the forward noted, and {@code dS =
     * P (dP - rowsum(dO O))} from dP in {@code dS}.
     */
    void scoreGradients(Block block) {
      for (int t = 0; t < BLOCK; t++) {
        projection[t] = VectorMath.dot(dO, t * width, o, t * width, shape.headSize());
      }
      for (int lane = 0; lane < BLOCK; lane += LANES) {
        FloatVector shift = FloatVector.fromArray(Rows.FLOATS, logSumExp, block.first() + lane);
        FloatVector less = FloatVector.fromArray(Rows.FLOATS, projection, lane);
        for (int key = block.from(); key < block.to(); key++) {
          int at = key * BLOCK + lane;
          FloatVector score = FloatVector.fromArray(Rows.FLOATS, p, at);
          FloatVector probability = VectorMath.exp(score.sub(shift));
          probability.intoArray(p, at);
          FloatVector.fromArray(Rows.FLOATS, dS, at).sub(less).mul(probability).intoArray(dS, at);
        }
      }
    }

    /** Makes scores minus infinity where a query doesn't look at the key. */
    void hide(float[] scores, Block block) {
      int oldest = Math.min(block.first() + BLOCK - shape.window(), block.first() + 1);
      hide(scores, block, block.from(), oldest);
      hide(scores, block, block.first() + 1, block.to());
    }

    private void hide(float[] scores, Block block, int from, int to) {
      for (int key = from; key < to; key++) {
        for (int t = 0; t < BLOCK; t++) {
          int query = block.first() + t;
          if (key > query || key <= query - shape.window()) {
            scores[key * BLOCK + t] = Float.NEGATIVE_INFINITY;
          }
        }
      }
    }
  }
}
