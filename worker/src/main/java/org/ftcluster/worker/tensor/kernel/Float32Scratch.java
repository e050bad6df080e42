package org.ftcluster.worker.tensor.kernel;

import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import org.ftcluster.worker.tensor.kernel.BlockedAttention.Shape;

/**
 * Matrices of one key/value head and of the block of query rows at hand, padded with zeros.
 *
 * <p>Scores are held transposed, a row of them a key and a lane a query: then the softmax of all of
 * a block's queries goes through their keys side by side, and never sums within a register.
 */
abstract sealed class Float32Scratch extends AttentionScratch
    permits Float32Forward, Float32Backward {
  static final int BLOCK = Tiles.COLUMNS;

  /** 0, 1, 2, ... */
  private static final IntVector QUERIES = IntVector.zero(Rows.INTS).addIndex(1);

  /** Of scores; 0 for none. */
  private final float cap;

  /** Columns of a block's matrices, and of a head's. */
  final int width;

  private final float[] row;

  /** [tokens, width]. */
  final float[] keys;

  final float[] values;

  /** [BLOCK, width]; already scaled. */
  final float[] queries;

  /** [width, BLOCK]. */
  private final float[] queriesT;

  /** [BLOCK, width]: the block's output. */
  final float[] o;

  /** [tokens, BLOCK]: scores, then what is made of them. */
  final float[] p;

  Float32Scratch(Shape shape) {
    super(shape, BLOCK);
    cap = (float) shape.scores().cap();
    width = Tiles.pad(shape.headSize(), Tiles.COLUMNS);
    row = new float[shape.headSize()];
    keys = new float[tokens * width];
    values = new float[tokens * width];
    queries = new float[BLOCK * width];
    queriesT = new float[width * BLOCK];
    o = new float[BLOCK * width];
    p = new float[tokens * BLOCK];
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

  void writeBlock(float[] from, Rows to, int head, Block block) {
    write(from, to, head, block.first(), block.count());
  }

  void write(float[] from, Rows to, int head) {
    write(from, to, head, 0, shape.tokens());
  }

  private void write(float[] from, Rows to, int head, int first, int count) {
    for (int t = 0; t < count; t++) {
      System.arraycopy(from, t * width, row, 0, shape.headSize());
      to.write(first + t, head * shape.headSize(), row, shape.headSize());
    }
  }

  /**
   * Columns of a matrix as rows.
   *
   * @param from [rows, columns]
   * @param to [columns, rows]
   * @param rows a multiple of {@code LANES}
   */
  static void transpose(float[] from, float[] to, int rows, int columns) {
    int[] starts = rowStarts(columns);
    for (int column = 0; column < columns; column++) {
      for (int lane = 0; lane < rows; lane += LANES) {
        FloatVector.fromArray(Rows.FLOATS, from, lane * columns + column, starts, 0)
            .intoArray(to, column * rows + lane);
      }
    }
  }

  static void scale(float[] values, float factor) {
    for (int i = 0; i < values.length; i++) {
      values[i] *= factor;
    }
  }

  void readQueries(Rows from, int head, Block block) {
    readBlock(from, head, block, queries);
    scale(queries, (float) shape.scores().scale());
    transpose(queries, queriesT, BLOCK, width);
  }

  /** The block's scores in {@code p}, minus infinity where a query doesn't look at a key. */
  void scores(Block block) {
    scores(p, keys, queriesT, block);
    if (cap > 0) {
      cap(block);
    }
    hide(block);
  }

  private void cap(Block block) {
    for (int at = block.from() * BLOCK; at < block.to() * BLOCK; at += LANES) {
      VectorMath.tanh(FloatVector.fromArray(Rows.FLOATS, p, at).div(cap)).mul(cap).intoArray(p, at);
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

  /** Turns scores in {@code p} into exponentials, and notes each row's sum and its log. */
  void softmax(Block block) {
    for (int lane = 0; lane < BLOCK; lane += LANES) {
      FloatVector max = FloatVector.broadcast(Rows.FLOATS, Float.NEGATIVE_INFINITY);
      for (int key = block.from(); key < block.to(); key++) {
        max = VectorMath.max(max, FloatVector.fromArray(Rows.FLOATS, p, key * BLOCK + lane));
      }
      FloatVector sum = FloatVector.zero(Rows.FLOATS);
      for (int key = block.from(); key < block.to(); key++) {
        int at = key * BLOCK + lane;
        FloatVector e = VectorMath.exp(FloatVector.fromArray(Rows.FLOATS, p, at).sub(max));
        e.intoArray(p, at);
        sum = sum.add(e);
      }
      sum.intoArray(rowSums, lane);
      max.intoArray(logSumExp, block.first() + lane);
    }
    for (int t = 0; t < BLOCK; t++) {
      logSumExp[block.first() + t] += (float) Math.log(rowSums[t]);
    }
  }

  /**
   * The probabilities again, from scores in {@code p} and what the forward noted, and {@code dS = P
   * (dP - rowsum(dO O))}, each in the place of what it is made of.
   *
   * @param dP [tokens, BLOCK], transposed
   */
  void scoreGradients(Block block, float[] dO, float[] dP) {
    for (int t = 0; t < BLOCK; t++) {
      rowSums[t] = VectorMath.dot(dO, t * width, o, t * width, shape.headSize());
    }
    for (int lane = 0; lane < BLOCK; lane += LANES) {
      FloatVector shift = FloatVector.fromArray(Rows.FLOATS, logSumExp, block.first() + lane);
      FloatVector less = FloatVector.fromArray(Rows.FLOATS, rowSums, lane);
      for (int key = block.from(); key < block.to(); key++) {
        int at = key * BLOCK + lane;
        FloatVector score = FloatVector.fromArray(Rows.FLOATS, p, at);
        FloatVector probability = VectorMath.exp(score.sub(shift));
        probability.intoArray(p, at);
        FloatVector gradient =
            FloatVector.fromArray(Rows.FLOATS, dP, at).sub(less).mul(probability);
        if (cap > 0) {
          gradient = gradient.mul(VectorMath.capSlope(score, cap));
        }
        gradient.intoArray(dP, at);
      }
    }
  }

  /** Makes scores in {@code p} minus infinity where a query doesn't look at a key. */
  void hide(Block block) {
    int oldest = Math.min(block.first() + BLOCK - shape.window(), block.first() + 1);
    hide(block, block.from(), oldest);
    hide(block, block.first() + 1, block.to());
  }

  private void hide(Block block, int from, int to) {
    for (int key = from; key < to; key++) {
      for (int lane = 0; lane < BLOCK; lane += LANES) {
        // How far a query looks back to the key.
        IntVector back = QUERIES.add(block.first() + lane - key);
        VectorMask<Integer> hidden =
            back.lt(0).or(back.compare(VectorOperators.GE, shape.window()));
        FloatVector.fromArray(Rows.FLOATS, p, key * BLOCK + lane)
            .blend(Float.NEGATIVE_INFINITY, hidden.cast(Rows.FLOATS))
            .intoArray(p, key * BLOCK + lane);
      }
    }
  }
}
