package org.ftcluster.worker.tensor.kernel;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import org.ftcluster.worker.tensor.Brgemm;
import org.ftcluster.worker.tensor.Brgemm.Matrix;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.kernel.BlockedAttention.Shape;
import org.jspecify.annotations.Nullable;

/** The backward with products of bfloat16; probabilities and dS are rounded to it. */
final class Bfloat16Backward extends Bfloat16Scratch {
  private final BlockedAttention.Backward operands;

  /** bfloat16 [chunks, headSize / 2, CHUNK, 2]. */
  private final MemorySegment valueColumnPairs;

  /** bfloat16 [tokens / 2, headSize, 2]. */
  private final MemorySegment keyPairs;

  /** bfloat16 [headSize, BLOCK]. */
  private final MemorySegment queryColumns;

  /** bfloat16 [BLOCK, headSize]. */
  private final MemorySegment dO;

  /** bfloat16 [headSize, BLOCK]. */
  private final MemorySegment dOColumns;

  /** float32 [BLOCK, CHUNK]: dO Vᵀ. */
  private final MemorySegment dP;

  /** bfloat16 [BLOCK / 2, CHUNK, 2]. */
  private final MemorySegment probabilityPairs;

  private final MemorySegment dSPairs;

  /** bfloat16 [BLOCK, CHUNK]. */
  private final MemorySegment probabilities;

  private final MemorySegment dS;

  /**
   * float32 [BLOCK, CHUNK]: by how much scores grow with what they are capped of; null for none.
   */
  private final @Nullable MemorySegment slopes;

  /** float32 [BLOCK, headSize]. */
  private final MemorySegment dQ;

  /** float32 [chunks, headSize, CHUNK], summed over the query heads that share the keys. */
  private final MemorySegment dKeys;

  private final MemorySegment dValues;

  /** [headSize, CHUNK] and [headSize], both padded: a chunk of the above and one of its tokens. */
  private final float[] columns;

  private final float[] row;
  private final int[] columnStarts = rowStarts(CHUNK);

  Bfloat16Backward(Scope scope, Shape shape, BlockedAttention.Backward operands) {
    super(scope, shape);
    this.operands = operands;
    long ofBlock = (long) BLOCK * headSize;
    long ofTokens = chunkedTokens * headSize;
    long ofScores = BLOCK * CHUNK;
    valueColumnPairs = take(scope, DType.BFLOAT16, ofTokens);
    keyPairs = take(scope, DType.BFLOAT16, ofTokens);
    queryColumns = take(scope, DType.BFLOAT16, ofBlock);
    dO = take(scope, DType.BFLOAT16, ofBlock);
    dOColumns = take(scope, DType.BFLOAT16, ofBlock);
    dP = take(scope, DType.FLOAT32, ofScores);
    probabilityPairs = take(scope, DType.BFLOAT16, ofScores);
    dSPairs = take(scope, DType.BFLOAT16, ofScores);
    probabilities = take(scope, DType.BFLOAT16, ofScores);
    dS = take(scope, DType.BFLOAT16, ofScores);
    slopes = shape.scores().areCapped() ? take(scope, DType.FLOAT32, ofScores) : null;
    dQ = take(scope, DType.FLOAT32, ofBlock);
    dKeys = take(scope, DType.FLOAT32, ofTokens);
    dValues = take(scope, DType.FLOAT32, ofTokens);
    row = new float[Tiles.pad(headSize, LANES)];
    columns = new float[row.length * CHUNK];
  }

  @Override
  void begin(int head) {
    readColumnPairs(operands.in().keys(), head, keyColumnPairs);
    readColumnPairs(operands.in().values(), head, valueColumnPairs);
    readRowPairs(operands.in().keys(), head, keyPairs);
    dKeys.fill((byte) 0);
    dValues.fill((byte) 0);
  }

  @Override
  void beginQueries(int queryHead) {
    operands.forward().logSumExp().read(queryHead, logSumExp);
  }

  @Override
  void run(int queryHead, Block block) {
    readBlock(operands.in().queries(), queryHead, block, queries);
    readBlock(operands.gradient(), queryHead, block, dO);
    readColumns(operands.in().queries(), queryHead, block, queryColumns);
    readColumns(operands.gradient(), queryHead, block, dOColumns);
    Rows attended = operands.forward().attended();
    for (int t = 0; t < block.count(); t++) {
      rowSums[t] =
          attended.dot(block.first() + t, queryHead * headSize, dO, t * headSize, headSize);
    }
    for (KeyChunk keys = KeyChunk.first(block); keys.isIn(block); keys = keys.next(block)) {
      run(block, keys);
    }
    for (int t = 0; t < block.count(); t++) {
      operands
          .gradients()
          .queries()
          .write(block.first() + t, queryHead * headSize, dQ, t * headSize, headSize, factor);
    }
  }

  private void run(Block block, KeyChunk keys) {
    timesColumns(queries, keyColumnPairs, scores, keys);
    timesColumns(dO, valueColumnPairs, dP, keys);
    capScores(keys);
    noteSlopes(keys);
    for (int t = 0; t < BLOCK; t += 2) {
      scoreGradients(block, t, keys);
    }
    addTransposed(dOColumns, probabilityPairs, dValues, keys);
    addTransposed(queryColumns, dSPairs, dKeys, keys);
    timesRows(dS, keyPairs, dQ, keys, keys.from() > block.from());
  }

  @Override
  void end(int head) {
    write(dKeys, operands.gradients().keys(), head, factor);
    write(dValues, operands.gradients().values(), head, 1);
  }

  /**
   * {@code out += mᵀ s}.
   *
   * @param columns of m, bfloat16 [headSize, BLOCK]
   * @param pairs s, bfloat16 [BLOCK / 2, CHUNK, 2]
   * @param out float32 [chunks, headSize, CHUNK]
   */
  private void addTransposed(
      MemorySegment columns, MemorySegment pairs, MemorySegment out, KeyChunk keys) {
    Brgemm.multiply(
        headSize,
        keys.count(),
        BLOCK,
        new Matrix(columns, 0, BLOCK),
        new Matrix(pairs, keys.column(), CHUNK),
        new Matrix(out, columnAt(headSize, keys.from()), CHUNK),
        true);
  }

  /**
   * The probabilities again, from scores and what the forward noted, and {@code dS = P (dP -
   * rowsum(dO O))}, of two rows.
   */
  private void scoreGradients(Block block, int row, KeyChunk keys) {
    int token = block.first() + row;
    int first = row * CHUNK + keys.column();
    int last = first + keys.count();
    int firstPair = row / 2 * CHUNK + keys.column();
    int oldest = Math.max(shape.firstKey(token), keys.from()) - keys.from();
    int end = Math.min(token + 2, keys.to()) - keys.from();
    if (row >= block.count() || oldest >= end) {
      clearRows(first, last, firstPair);
      return;
    }
    int from = Rows.FLOATS.loopBound(oldest);
    int to = Tiles.pad(end, LANES);
    hideOthers(block, row, keys, from, to);
    hideOthers(block, row + 1, keys, from, to);
    probabilities(logSumExp[token], first + from, first + to);
    probabilities(logSumExp[token + 1], first + CHUNK + from, first + CHUNK + to);
    if (slopes == null) {
      scoreGradients(rowSums[row], first + from, first + to);
      scoreGradients(rowSums[row + 1], first + CHUNK + from, first + CHUNK + to);
    } else {
      scoreGradients(slopes, rowSums[row], first + from, first + to);
      scoreGradients(slopes, rowSums[row + 1], first + CHUNK + from, first + CHUNK + to);
    }
    pairRows(probabilities, probabilityPairs, first + from, firstPair + from, to - from);
    pairRows(dS, dSPairs, first + from, firstPair + from, to - from);
    clearRows(first, first + from, firstPair);
    clearRows(first + to, last, firstPair + to);
  }

  /** What of columns [from, to) a row doesn't look at. */
  private void hideOthers(Block block, int row, KeyChunk keys, int from, int to) {
    int token = block.first() + row;
    int first = row * CHUNK + keys.column();
    int oldest = row < block.count() ? shape.firstKey(token) - keys.from() : to;
    hide(first + from, first + Math.clamp(oldest, from, to));
    hide(first + Math.clamp(token + 1 - keys.from(), from, to), first + to);
  }

  /** Leaves probabilities in the place of scores, too. */
  private void probabilities(float logSumExp, int from, int to) {
    for (int i = from; i < to; i += LANES) {
      FloatVector probability =
          VectorMath.exp(VectorMath.load(scores, i).mul(factor).sub(logSumExp));
      VectorMath.store(probability, scores, i);
      VectorMath.store(VectorMath.toBfloat16(probability), probabilities, i);
    }
  }

  /** Apart from the above, since the compiler inlines only so much into one method. */
  private void scoreGradients(float less, int from, int to) {
    for (int i = from; i < to; i += LANES) {
      FloatVector gradient = VectorMath.load(dP, i).sub(less).mul(VectorMath.load(scores, i));
      VectorMath.store(VectorMath.toBfloat16(gradient), dS, i);
    }
  }

  /** How much scores grow with what they are capped of, where they are. */
  private void noteSlopes(KeyChunk keys) {
    for (int t = 0; slopes != null && t < BLOCK; t++) {
      int from = t * CHUNK + keys.column();
      for (int i = from; i < from + keys.count(); i += LANES) {
        VectorMath.store(VectorMath.capSlope(VectorMath.load(scores, i), cap), slopes, i);
      }
    }
  }

  /** The same of scores that are capped. */
  private void scoreGradients(MemorySegment slopes, float less, int from, int to) {
    for (int i = from; i < to; i += LANES) {
      FloatVector gradient = VectorMath.load(dP, i).sub(less).mul(VectorMath.load(scores, i));
      VectorMath.store(VectorMath.toBfloat16(gradient.mul(VectorMath.load(slopes, i))), dS, i);
    }
  }

  /**
   * @param at where the first of two rows is, with the second one {@code CHUNK} after it
   */
  private static void pairRows(
      MemorySegment halves, MemorySegment pairs, int at, int pairAt, int count) {
    for (int i = 0; i < count; i += LANES) {
      IntVector first = VectorMath.loadHalves(halves, at + i);
      IntVector second = VectorMath.loadHalves(halves, at + CHUNK + i);
      VectorMath.store(VectorMath.pairs(first, second), pairs, pairAt + i);
    }
  }

  /** Of two rows. */
  private void clearRows(int from, int to, int pairFrom) {
    clear(dS, from, to);
    clear(dS, from + CHUNK, to + CHUNK);
    clearPairs(probabilityPairs, pairFrom, pairFrom + to - from);
    clearPairs(dSPairs, pairFrom, pairFrom + to - from);
  }

  /** Columns back to rows. */
  private void write(MemorySegment from, Rows to, int head, float factor) {
    for (int first = 0; first < shape.tokens(); first += CHUNK) {
      MemorySegment.copy(
          from,
          ValueLayout.JAVA_FLOAT,
          (long) first * headSize * Float.BYTES,
          columns,
          0,
          CHUNK * headSize);
      for (int t = first; t < Math.min(first + CHUNK, shape.tokens()); t++) {
        readColumn(t - first, factor);
        to.write(t, head * headSize, row, headSize);
      }
    }
  }

  private void readColumn(int column, float factor) {
    for (int i = 0; i < row.length; i += LANES) {
      FloatVector.fromArray(Rows.FLOATS, columns, i * CHUNK + column, columnStarts, 0)
          .mul(factor)
          .intoArray(row, i);
    }
  }
}
