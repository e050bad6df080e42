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
  }

  abstract void begin(int keyValueHead);

  void beginQueries(int queryHead) {}

  abstract void run(int queryHead, Block block);

  void endQueries(int queryHead) {}

  void end(int keyValueHead) {}

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

  /** rowsum(dO O) of a block's rows. */
  void projections(float[] dO, float[] into) {
    for (int t = 0; t < BLOCK; t++) {
      into[t] = VectorMath.dot(dO, t * width, o, t * width, shape.headSize());
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
