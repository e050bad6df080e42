package org.ftcluster.worker.tensor.kernel;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.kernel.BlockedAttention.Shape;

/** The forward with products of bfloat16; exponentials are rounded to it, their sums are not. */
final class Bfloat16Forward extends Bfloat16Scratch {
  private final BlockedAttention.Inputs in;
  private final BlockedAttention.Outputs out;

  /** bfloat16 [tokens / 2, headSize, 2]. */
  private final MemorySegment valuePairs;

  /** bfloat16 [BLOCK, CHUNK]: exponentials of scores. */
  private final MemorySegment weights;

  /** float32 [BLOCK, headSize]: the block's output. */
  private final MemorySegment o;

  /** [BLOCK]. */
  private final float[] rowMax = new float[BLOCK];

  Bfloat16Forward(
      Scope scope, Shape shape, BlockedAttention.Inputs in, BlockedAttention.Outputs out) {
    super(scope, shape);
    this.in = in;
    this.out = out;
    valuePairs = take(scope, DType.BFLOAT16, (long) tokens * headSize);
    weights = take(scope, DType.BFLOAT16, BLOCK * CHUNK);
    o = take(scope, DType.FLOAT32, (long) BLOCK * headSize);
  }

  @Override
  void begin(int head) {
    readColumnPairs(in.keys(), head, keyColumnPairs);
    readRowPairs(in.values(), head, valuePairs);
  }

  @Override
  void run(int queryHead, Block block) {
    readBlock(in.queries(), queryHead, block, queries);
    clear(weights, block.count() * CHUNK, BLOCK * CHUNK);
    Arrays.fill(rowMax, Float.NEGATIVE_INFINITY);
    Arrays.fill(rowSums, 0);
    for (KeyChunk keys = KeyChunk.first(block); keys.isIn(block); keys = keys.next(block)) {
      timesColumns(queries, keyColumnPairs, scores, keys);
      capScores(keys);
      for (int t = 0; t < block.count(); t++) {
        softmax(t, block.first() + t, keys);
      }
      timesRows(weights, valuePairs, o, keys, keys.from() > block.from());
    }
    for (int t = 0; t < block.count(); t++) {
      int token = block.first() + t;
      logSumExp[token] = rowMax[t] * factor + (float) Math.log(rowSums[t]);
      out.attended().write(token, queryHead * headSize, o, t * headSize, headSize, 1 / rowSums[t]);
    }
  }

  @Override
  void endQueries(int queryHead) {
    out.logSumExp().write(queryHead, logSumExp);
  }

  /**
   * Writes the exponentials of a row's scores, less the largest one until now, and brings to that
   * what was summed until now (arXiv:1805.02867).
   */
  private void softmax(int row, int token, KeyChunk keys) {
    int oldest = Math.max(shape.firstKey(token), keys.from());
    int end = Math.min(token + 1, keys.to());
    int first = row * CHUNK + keys.column();
    int last = first + keys.count();
    if (oldest >= end) {
      clear(weights, first, last);
      return;
    }
    int from = first + Rows.FLOATS.loopBound(oldest - keys.from());
    int to = first + Tiles.pad(end - keys.from(), LANES);
    hide(from, first + oldest - keys.from());
    hide(first + end - keys.from(), to);
    float max = Math.max(rowMax[row], max(from, to));
    if (rowSums[row] > 0 && max > rowMax[row]) {
      float less = VectorMath.exp((rowMax[row] - max) * factor);
      rowSums[row] *= less;
      scaleOutput(row, less);
    }
    rowMax[row] = max;
    clear(weights, first, from);
    rowSums[row] += exponentials(from, to, max);
    clear(weights, to, last);
  }

  private float max(int from, int to) {
    FloatVector max = FloatVector.broadcast(Rows.FLOATS, Float.NEGATIVE_INFINITY);
    for (int i = from; i < to; i += LANES) {
      max = VectorMath.max(max, VectorMath.load(scores, i));
    }
    return VectorMath.maxLane(max);
  }

  private float exponentials(int from, int to, float max) {
    FloatVector sum = FloatVector.zero(Rows.FLOATS);
    for (int i = from; i < to; i += LANES) {
      FloatVector e = VectorMath.exp(VectorMath.load(scores, i).sub(max).mul(factor));
      VectorMath.store(VectorMath.toBfloat16(e), weights, i);
      sum = sum.add(e);
    }
    return VectorMath.sumLanes(sum);
  }

  private void scaleOutput(int row, float factor) {
    for (int i = row * headSize; i < (row + 1) * headSize; i++) {
      o.setAtIndex(ValueLayout.JAVA_FLOAT, i, o.getAtIndex(ValueLayout.JAVA_FLOAT, i) * factor);
    }
  }
}
