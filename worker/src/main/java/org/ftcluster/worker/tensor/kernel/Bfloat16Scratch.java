package org.ftcluster.worker.tensor.kernel;

import static java.lang.foreign.MemorySegment.ofArray;

import jdk.incubator.vector.FloatVector;
import org.ftcluster.worker.tensor.Brgemm;
import org.ftcluster.worker.tensor.Brgemm.Matrix;
import org.ftcluster.worker.tensor.kernel.BlockedAttention.Shape;

/**
 * A head's matrices, padded with zeros, and the block at hand in the forms that {@link Brgemm}
 * takes, of which the second factor has its rows in pairs.
 *
 * <p>Keys are taken a chunk at a time, so that products come in few shapes however long sequences
 * are: code is made for each of them.
 */
abstract sealed class Bfloat16Scratch extends AttentionScratch
    permits Bfloat16Forward, Bfloat16Backward {
  /** Keys; a multiple of {@code BLOCK}. */
  private static final int CHUNK = 256;

  final int headSize;

  /** [BLOCK, width]. */
  final float[] queries;

  /** [headSize / 2, BLOCK, 2]. */
  private final int[] columnPairs;

  private final short[] row;

  Bfloat16Scratch(Shape shape) {
    super(shape);
    headSize = shape.headSize();
    queries = new float[BLOCK * width];
    columnPairs = new int[width / 2 * BLOCK];
    row = new short[headSize];
  }

  @Override
  final void done() {
    Brgemm.release();
  }

  /** Room for a head's rows, [tokens, headSize]. */
  final short[] newRows() {
    return new short[tokens * headSize];
  }

  /** Room for a head's columns as rows, chunk by chunk: [chunks, headSize, CHUNK]. */
  final short[] newColumns() {
    return new short[Tiles.pad(tokens, CHUNK) * headSize];
  }

  final void readRows(Rows from, int head, short[] to) {
    for (int t = 0; t < shape.tokens(); t++) {
      from.readBits(t, head * headSize, to, t * headSize, headSize);
    }
  }

  final void readColumns(Rows from, int head, short[] to) {
    for (int t = 0; t < shape.tokens(); t++) {
      from.readBits(t, head * headSize, row, 0, headSize);
      int at = t / CHUNK * CHUNK * headSize + t % CHUNK;
      for (int i = 0; i < headSize; i++) {
        to[at + i * CHUNK] = row[i];
      }
    }
  }

  /**
   * {@code scores = m bᵀ}.
   *
   * @param m [tokens, headSize]
   * @param b [BLOCK, width]
   * @param scores [tokens, BLOCK]
   */
  final void scores(short[] m, float[] b, float[] scores, Block block) {
    pairColumns(b, columnPairs);
    for (int from = block.from(); from < block.to(); from = chunkEnd(from, block)) {
      Brgemm.multiply(
          chunkEnd(from, block) - from,
          BLOCK,
          headSize,
          new Matrix(ofArray(m), from * headSize, headSize),
          new Matrix(ofArray(columnPairs), 0, BLOCK),
          new Matrix(ofArray(scores), from * BLOCK, BLOCK),
          false);
    }
  }

  /**
   * {@code out = mᵀ s}.
   *
   * @param columns of m
   * @param scorePairs s, [tokens / 2, BLOCK, 2]
   * @param out [headSize, BLOCK]
   */
  final void timesScores(short[] columns, int[] scorePairs, float[] out, Block block) {
    for (int from = block.from(); from < block.to(); from = chunkEnd(from, block)) {
      Brgemm.multiply(
          headSize,
          BLOCK,
          chunkEnd(from, block) - from,
          new Matrix(ofArray(columns), from / CHUNK * CHUNK * headSize + from % CHUNK, CHUNK),
          new Matrix(ofArray(scorePairs), from / 2 * BLOCK, BLOCK),
          new Matrix(ofArray(out), 0, BLOCK),
          from > block.from());
    }
  }

  /**
   * {@code out += s b}.
   *
   * @param scores s, [tokens, BLOCK]
   * @param pairs of b's rows, [BLOCK / 2, width, 2]
   * @param out [tokens, width]
   */
  final void addScoresTimes(short[] scores, int[] pairs, float[] out, Block block) {
    for (int from = block.from(); from < block.to(); from = chunkEnd(from, block)) {
      Brgemm.multiply(
          chunkEnd(from, block) - from,
          headSize,
          BLOCK,
          new Matrix(ofArray(scores), from * BLOCK, BLOCK),
          new Matrix(ofArray(pairs), 0, width),
          new Matrix(ofArray(out), from * width, width),
          true);
    }
  }

  private static int chunkEnd(int from, Block block) {
    return Math.min(from / CHUNK * CHUNK + CHUNK, block.to());
  }

  /** From [BLOCK, width] to [width / 2, BLOCK, 2]. */
  private void pairColumns(float[] from, int[] to) {
    int[] starts = rowStarts(width);
    for (int column = 0; column < width; column += 2) {
      for (int lane = 0; lane < BLOCK; lane += LANES) {
        int at = lane * width + column;
        VectorMath.bfloat16Pairs(
                FloatVector.fromArray(Rows.FLOATS, from, at, starts, 0),
                FloatVector.fromArray(Rows.FLOATS, from, at + 1, starts, 0))
            .intoArray(to, column / 2 * BLOCK + lane);
      }
    }
  }

  /** From [rows, columns] to [rows / 2, columns, 2], for rows [first, end). */
  static void pairRows(float[] from, int[] to, int first, int end, int columns) {
    for (int row = first; row < end; row += 2) {
      for (int i = 0; i < columns; i += LANES) {
        VectorMath.bfloat16Pairs(
                FloatVector.fromArray(Rows.FLOATS, from, row * columns + i),
                FloatVector.fromArray(Rows.FLOATS, from, (row + 1) * columns + i))
            .intoArray(to, row / 2 * columns + i);
      }
    }
  }
}
