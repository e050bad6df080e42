package org.ftcluster.worker.tensor.kernel;

import java.util.Arrays;
import java.util.stream.IntStream;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;
import org.ftcluster.worker.tensor.kernel.ShortAttention.Shape;

/**
 * Matrices of one key/value head, padded with zeros, and those of the block of query rows at hand,
 * as forward and backward both need them. Belongs to one thread.
 */
abstract sealed class AttentionScratch permits AttentionForward, AttentionBackward {
  /** Query rows handled at once; a block looks at no key past its last row. */
  static final int BLOCK = Tiles.COLUMNS;

  static final int LANES = Rows.FLOATS.length();

  /** 0, 1, 2, ... */
  private static final IntVector QUERIES = IntVector.zero(Rows.INTS).addIndex(1);

  final Shape shape;

  /** Rows, and columns, of a head's matrices. */
  final int tokens;

  final int width;
  private final float[] row;

  /** [LANES]: where as many rows begin, one after the other. */
  private final int[] rowStarts;

  /** [tokens, width]. */
  final float[] keys;

  final float[] values;

  /** [BLOCK, width]; already scaled. */
  final float[] queries;

  /** [width, BLOCK]. */
  final float[] queriesT;

  /** [BLOCK, width]: the block's output. */
  final float[] o;

  /** [tokens, BLOCK]: scores, then what is made of them; see {@link ShortAttention}. */
  final float[] p;

  /** [tokens]. */
  final float[] logSumExp;

  AttentionScratch(Shape shape) {
    this.shape = shape;
    tokens = Tiles.pad(shape.tokens(), BLOCK);
    width = Tiles.pad(shape.headSize(), Tiles.COLUMNS);
    row = new float[shape.headSize()];
    rowStarts = IntStream.range(0, LANES).map(t -> t * width).toArray();
    keys = new float[tokens * width];
    values = new float[tokens * width];
    queries = new float[BLOCK * width];
    queriesT = new float[width * BLOCK];
    o = new float[BLOCK * width];
    p = new float[tokens * BLOCK];
    logSumExp = new float[tokens];
  }

  /**
   * Query rows [first, first + BLOCK) and the keys [from, to) that they look at, both multiples of
   * a tile's rows.
   *
   * @param count those of the query rows that there are
   */
  record Block(int first, int count, int from, int to) {
    static Block at(Shape shape, int first) {
      int end = Math.min(first + BLOCK, shape.tokens());
      return new Block(
          first,
          end - first,
          shape.firstKey(first) / Tiles.ROWS * Tiles.ROWS,
          Tiles.pad(end, Tiles.ROWS));
    }
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
    for (int i = 0; i < width; i++) {
      for (int lane = 0; lane < BLOCK; lane += LANES) {
        FloatVector.fromArray(Rows.FLOATS, from, lane * width + i, rowStarts, 0)
            .intoArray(to, i * BLOCK + lane);
      }
    }
  }

  /** The block's scores in {@code p}, minus infinity where a query doesn't look at a key. */
  void scores(Block block) {
    scores(p, keys, queriesT, block);
    hide(block);
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

  private void hide(Block block) {
    int oldest = Math.min(block.first() + BLOCK - shape.window(), block.first() + 1);
    hide(block, block.from(), oldest);
    hide(block, block.first() + 1, block.to());
  }

  private void hide(Block block, int from, int to) {
    for (int key = from; key < to; key++) {
      // A query looks at the keys from its own back to window - 1 before.
      for (int lane = 0; lane < BLOCK; lane += LANES) {
        IntVector back = QUERIES.add(block.first() + lane - key);
        FloatVector score = FloatVector.fromArray(Rows.FLOATS, p, key * BLOCK + lane);
        score
            .blend(
                Float.NEGATIVE_INFINITY,
                back.lt(0).or(back.compare(VectorOperators.GE, shape.window())).cast(Rows.FLOATS))
            .intoArray(p, key * BLOCK + lane);
      }
    }
  }
}
