package org.ftcluster.worker.tensor.kernel;

import java.util.Arrays;
import java.util.stream.IntStream;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import org.ftcluster.worker.tensor.kernel.BlockedAttention.Shape;

/**
 * How attention goes through heads and blocks of query rows, and what it needs whatever its
 * products run in. Belongs to one thread.
 */
abstract sealed class AttentionScratch permits Float32Scratch, Bfloat16Scratch {
  /** Query rows handled at once; a block looks at no key past its last row. */
  static final int BLOCK = Tiles.COLUMNS;

  static final int LANES = Rows.FLOATS.length();

  /** 0, 1, 2, ... */
  private static final IntVector QUERIES = IntVector.zero(Rows.INTS).addIndex(1);

  final Shape shape;

  /** Rows of a head's matrices, and columns of a block's. */
  final int tokens;

  final int width;
  private final float[] row;

  /** [BLOCK, width]: the block's output. */
  final float[] o;

  /** [tokens, BLOCK]: scores, then what is made of them; see {@link BlockedAttention}. */
  final float[] p;

  /** [tokens]. */
  final float[] logSumExp;

  /** [BLOCK]: of exponentials in the forward, of dO O in the backward. */
  final float[] rowSums = new float[BLOCK];

  AttentionScratch(Shape shape) {
    this.shape = shape;
    tokens = Tiles.pad(shape.tokens(), BLOCK);
    width = Tiles.pad(shape.headSize(), Tiles.COLUMNS);
    row = new float[shape.headSize()];
    o = new float[BLOCK * width];
    p = new float[tokens * BLOCK];
    logSumExp = new float[tokens];
  }

  /**
   * Query rows [first, first + BLOCK) and the keys [from, to) that they look at, both multiples of
   * {@code BLOCK}.
   *
   * @param count those of the query rows that there are
   */
  record Block(int first, int count, int from, int to) {
    static Block at(Shape shape, int first) {
      int end = Math.min(first + BLOCK, shape.tokens());
      return new Block(first, end - first, shape.firstKey(first) / BLOCK * BLOCK, first + BLOCK);
    }
  }

  /** Goes through key/value heads [from, to), and the query heads that share each of them. */
  final void run(int from, int to) {
    for (int head = from; head < to; head++) {
      begin(head);
      for (int g = 0; g < shape.group(); g++) {
        int queryHead = head * shape.group() + g;
        beginQueries(queryHead);
        for (int first = 0; first < shape.tokens(); first += BLOCK) {
          run(queryHead, Block.at(shape, first));
        }
        endQueries(queryHead);
      }
      end(head);
    }
    done();
  }

  abstract void begin(int keyValueHead);

  void beginQueries(int queryHead) {}

  abstract void run(int queryHead, Block block);

  void endQueries(int queryHead) {}

  void end(int keyValueHead) {}

  /** Nothing follows. */
  void done() {}

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

  /** Where as many rows as there are lanes begin. */
  static int[] rowStarts(int columns) {
    return IntStream.range(0, LANES).map(lane -> lane * columns).toArray();
  }

  static void scale(float[] values, float factor) {
    for (int i = 0; i < values.length; i++) {
      values[i] *= factor;
    }
  }

  /**
   * Turns scores in {@code p} into exponentials, and notes each row's sum and its log.
   *
   * @param factor on the scores
   */
  void softmax(Block block, float factor) {
    for (int lane = 0; lane < BLOCK; lane += LANES) {
      FloatVector max = FloatVector.broadcast(Rows.FLOATS, Float.NEGATIVE_INFINITY);
      for (int key = block.from(); key < block.to(); key++) {
        max = VectorMath.max(max, FloatVector.fromArray(Rows.FLOATS, p, key * BLOCK + lane));
      }
      FloatVector sum = FloatVector.zero(Rows.FLOATS);
      for (int key = block.from(); key < block.to(); key++) {
        int at = key * BLOCK + lane;
        FloatVector e =
            VectorMath.exp(FloatVector.fromArray(Rows.FLOATS, p, at).sub(max).mul(factor));
        e.intoArray(p, at);
        sum = sum.add(e);
      }
      sum.intoArray(rowSums, lane);
      max.mul(factor).intoArray(logSumExp, block.first() + lane);
    }
    for (int t = 0; t < BLOCK; t++) {
      logSumExp[block.first() + t] += (float) Math.log(rowSums[t]);
    }
  }

  /**
   * The probabilities again, from scores in {@code p} and what the forward noted, and {@code dS = P
   * (dP - rowsum(dO O))}, each in the place of what it is made of.
   *
   * @param factor on the scores
   * @param dP [tokens, BLOCK], transposed
   */
  void scoreGradients(Block block, float factor, float[] dO, float[] dP) {
    for (int t = 0; t < BLOCK; t++) {
      rowSums[t] = VectorMath.dot(dO, t * width, o, t * width, shape.headSize());
    }
    for (int lane = 0; lane < BLOCK; lane += LANES) {
      FloatVector shift = FloatVector.fromArray(Rows.FLOATS, logSumExp, block.first() + lane);
      FloatVector less = FloatVector.fromArray(Rows.FLOATS, rowSums, lane);
      for (int key = block.from(); key < block.to(); key++) {
        int at = key * BLOCK + lane;
        FloatVector score = FloatVector.fromArray(Rows.FLOATS, p, at);
        FloatVector probability = VectorMath.exp(score.mul(factor).sub(shift));
        probability.intoArray(p, at);
        FloatVector gradient = FloatVector.fromArray(Rows.FLOATS, dP, at).sub(less);
        gradient.mul(probability).intoArray(dP, at);
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
