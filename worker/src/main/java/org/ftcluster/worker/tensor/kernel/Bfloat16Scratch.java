package org.ftcluster.worker.tensor.kernel;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import org.ftcluster.worker.tensor.Brgemm;
import org.ftcluster.worker.tensor.Brgemm.Matrix;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.kernel.BlockedAttention.Shape;

/**
 * A head's matrices, padded with zeros, and the block at hand in the forms that {@link Brgemm}
 * takes, of which the second factor has its rows in pairs.
 *
 * <p>Keys are taken a chunk at a time: so scores stay in the caches, and products come in few
 * shapes however long sequences are, for each of which code is made.
 */
abstract sealed class Bfloat16Scratch extends AttentionScratch
    permits Bfloat16Forward, Bfloat16Backward {
  /** Query rows: four tiles of a processor that multiplies by tiles. */
  static final int BLOCK = 64;

  static final int CHUNK = KeyChunk.SIZE;

  final int headSize;

  /** On the scores. */
  final float factor;

  /** Of the scores, before the factor; 0 for none. */
  final float cap;

  /** What all chunks have room for. */
  final long chunkedTokens;

  /** bfloat16 [BLOCK, headSize]. */
  final MemorySegment queries;

  /** bfloat16 [chunks, headSize / 2, CHUNK, 2]. */
  final MemorySegment keyColumnPairs;

  /** float32 [BLOCK, CHUNK]. */
  final MemorySegment scores;

  /** [BLOCK, headSize / 2]: a block's pairs of numbers, since only arrays are read across rows. */
  private final int[] rows;

  private final int[] rowStarts;

  Bfloat16Scratch(Scope scope, Shape shape) {
    super(shape, BLOCK);
    headSize = shape.headSize();
    factor = (float) shape.scores().scale();
    cap = (float) (shape.scores().cap() / shape.scores().scale());
    chunkedTokens = Tiles.pad(tokens, CHUNK);
    queries = take(scope, DType.BFLOAT16, (long) BLOCK * headSize);
    keyColumnPairs = take(scope, DType.BFLOAT16, chunkedTokens * headSize);
    scores = take(scope, DType.FLOAT32, BLOCK * CHUNK);
    rows = new int[BLOCK * headSize / 2];
    rowStarts = rowStarts(headSize / 2);
  }

  /**
   * Undefined contents outside Java's heap. A scope's memory begins a cache line, as products want
   * it whose operands go through tile registers, which arrays can't promise.
   */
  static MemorySegment take(Scope scope, DType dtype, long elements) {
    return scope.empty(dtype, elements).memory();
  }

  @Override
  final void done() {
    Brgemm.release();
  }

  /** A block's rows to [BLOCK, headSize]; those past the last token are zero. */
  final void readBlock(Rows from, int head, Block block, MemorySegment to) {
    readBlock(from, head, block.first(), block.count(), to);
  }

  private void readBlock(Rows from, int head, int first, int count, MemorySegment to) {
    for (int t = 0; t < count; t++) {
      from.readBits(first + t, head * headSize, to, t * headSize, headSize);
    }
    clear(to, count * headSize, BLOCK * headSize);
  }

  /** A head's columns as rows, in pairs: [chunks, headSize / 2, CHUNK, 2]. */
  final void readColumnPairs(Rows from, int head, MemorySegment to) {
    for (int first = 0; first < tokens; first += BLOCK) {
      readRows(from, head, first);
      transposePairs(to, columnAt(headSize / 2, first));
    }
  }

  /** A head's rows in pairs, [tokens / 2, headSize, 2], by way of {@link #queries}. */
  final void readRowPairs(Rows from, int head, MemorySegment to) {
    for (int first = 0; first < tokens; first += BLOCK) {
      readBlock(from, head, first, Math.min(BLOCK, shape.tokens() - first), queries);
      RowPairs.ofRows(
          new Matrix(queries, 0, headSize),
          BLOCK / 2,
          headSize,
          new Matrix(to, first / 2 * headSize, headSize));
    }
  }

  /** A block's columns as rows: [headSize, BLOCK]. */
  final void readColumns(Rows from, int head, Block block, MemorySegment to) {
    readRows(from, head, block.first());
    transpose(to);
  }

  private void readRows(Rows from, int head, int first) {
    int half = headSize / 2;
    for (int t = 0; t < BLOCK; t++) {
      if (first + t < shape.tokens()) {
        from.readBits(first + t, head * headSize, rows, t * half, half);
      } else {
        Arrays.fill(rows, t * half, (t + 1) * half, 0);
      }
    }
  }

  private void transposePairs(MemorySegment to, int at) {
    for (int pair = 0; pair < headSize / 2; pair++) {
      for (int lane = 0; lane < BLOCK; lane += LANES) {
        IntVector pairs =
            IntVector.fromArray(Rows.INTS, rows, lane * headSize / 2 + pair, rowStarts, 0);
        VectorMath.store(pairs, to, at + pair * CHUNK + lane);
      }
    }
  }

  private void transpose(MemorySegment to) {
    for (int pair = 0; pair < headSize / 2; pair++) {
      for (int lane = 0; lane < BLOCK; lane += LANES) {
        IntVector pairs =
            IntVector.fromArray(Rows.INTS, rows, lane * headSize / 2 + pair, rowStarts, 0);
        VectorMath.store(VectorMath.lowerHalves(pairs), to, 2 * pair * BLOCK + lane);
        VectorMath.store(VectorMath.upperHalves(pairs), to, (2 * pair + 1) * BLOCK + lane);
      }
    }
  }

  /** Where a key's column is in what has {@code rows} rows a chunk. */
  static int columnAt(int rows, int key) {
    return key / CHUNK * CHUNK * rows + key % CHUNK;
  }

  /**
   * {@code out = b mᵀ}.
   *
   * @param b bfloat16 [BLOCK, headSize]
   * @param columnPairs of m
   * @param out float32 [BLOCK, CHUNK]
   */
  final void timesColumns(
      MemorySegment b, MemorySegment columnPairs, MemorySegment out, KeyChunk keys) {
    Brgemm.multiply(
        BLOCK,
        keys.count(),
        headSize,
        new Matrix(b, 0, headSize),
        new Matrix(columnPairs, columnAt(headSize / 2, keys.from()), CHUNK),
        new Matrix(out, keys.column(), CHUNK),
        false);
  }

  /**
   * {@code out (+)= s m}.
   *
   * @param s bfloat16 [BLOCK, CHUNK]
   * @param rowPairs of m
   * @param out float32 [BLOCK, headSize]
   */
  final void timesRows(
      MemorySegment s, MemorySegment rowPairs, MemorySegment out, KeyChunk keys, boolean add) {
    Brgemm.multiply(
        BLOCK,
        headSize,
        keys.count(),
        new Matrix(s, keys.column(), CHUNK),
        new Matrix(rowPairs, keys.from() / 2 * headSize, headSize),
        new Matrix(out, 0, headSize),
        add);
  }

  /** Caps a chunk's scores where the model does. */
  final void capScores(KeyChunk keys) {
    for (int t = 0; cap > 0 && t < BLOCK; t++) {
      int from = t * CHUNK + keys.column();
      for (int i = from; i < from + keys.count(); i += LANES) {
        FloatVector tanh = VectorMath.tanh(VectorMath.load(scores, i).div(cap));
        VectorMath.store(tanh.mul(cap), scores, i);
      }
    }
  }

  /** Makes scores [from, to) minus infinity. */
  final void hide(int from, int to) {
    for (int at = from; at < to; at++) {
      scores.setAtIndex(ValueLayout.JAVA_FLOAT, at, Float.NEGATIVE_INFINITY);
    }
  }

  /** Zeroes halves [from, to), multiples of {@code LANES}. */
  static void clear(MemorySegment halves, int from, int to) {
    for (int at = from; at < to; at += LANES) {
      VectorMath.store(ShortVector.zero(Rows.SHORTS), halves, at);
    }
  }

  static void clearPairs(MemorySegment pairs, int from, int to) {
    for (int at = from; at < to; at += LANES) {
      VectorMath.store(IntVector.zero(Rows.INTS), pairs, at);
    }
  }
}
