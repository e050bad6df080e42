package org.ftcluster.worker.tensor.kernel;

import jdk.incubator.vector.FloatVector;
import org.ftcluster.worker.tensor.kernel.BlockedAttention.Shape;

/** The forward with products of bfloat16; exponentials are rounded to it, their sums are not. */
final class Bfloat16Forward extends Bfloat16Scratch {
  private final BlockedAttention.Inputs in;
  private final BlockedAttention.Outputs out;

  private final short[] keys;
  private final short[] valueColumns;

  /** [tokens / 2, BLOCK, 2]: exponentials of scores. */
  private final int[] weights;

  /** [width, BLOCK]: the block's output, transposed. */
  private final float[] oT;

  /** [BLOCK]: sums of exponentials. */
  private final float[] sums = new float[BLOCK];

  Bfloat16Forward(Shape shape, BlockedAttention.Inputs in, BlockedAttention.Outputs out) {
    super(shape);
    this.in = in;
    this.out = out;
    keys = newRows();
    valueColumns = newColumns();
    weights = new int[tokens / 2 * BLOCK];
    oT = new float[width * BLOCK];
  }

  @Override
  void begin(int head) {
    readRows(in.keys(), head, keys);
    readColumns(in.values(), head, valueColumns);
  }

  @Override
  void run(int queryHead, Block block) {
    readBlock(in.queries(), queryHead, block, queries);
    scores(keys, queries, p, block);
    hide(block);
    softmax(block);
    pairRows(p, weights, block.from(), block.to(), BLOCK);
    timesScores(valueColumns, weights, oT, block);
    normalize();
    transpose(oT, o, width, BLOCK);
    writeBlock(o, out.attended(), queryHead, block);
  }

  @Override
  void endQueries(int queryHead) {
    out.logSumExp().write(queryHead, logSumExp);
  }

  /** Turns scores into exponentials, and notes each row's sum and its log. */
  private void softmax(Block block) {
    float scale = (float) shape.scale();
    for (int lane = 0; lane < BLOCK; lane += LANES) {
      FloatVector max = FloatVector.broadcast(Rows.FLOATS, Float.NEGATIVE_INFINITY);
      for (int key = block.from(); key < block.to(); key++) {
        max = VectorMath.max(max, FloatVector.fromArray(Rows.FLOATS, p, key * BLOCK + lane));
      }
      FloatVector sum = FloatVector.zero(Rows.FLOATS);
      for (int key = block.from(); key < block.to(); key++) {
        int at = key * BLOCK + lane;
        FloatVector e =
            VectorMath.exp(FloatVector.fromArray(Rows.FLOATS, p, at).sub(max).mul(scale));
        e.intoArray(p, at);
        sum = sum.add(e);
      }
      sum.intoArray(sums, lane);
      max.mul(scale).intoArray(logSumExp, block.first() + lane);
    }
    for (int t = 0; t < BLOCK; t++) {
      logSumExp[block.first() + t] += (float) Math.log(sums[t]);
    }
  }

  /** Of the outputs, which are fewer than the scores. */
  private void normalize() {
    for (int lane = 0; lane < BLOCK; lane += LANES) {
      FloatVector sum = FloatVector.fromArray(Rows.FLOATS, sums, lane);
      for (int at = lane; at < headSize * BLOCK; at += BLOCK) {
        FloatVector.fromArray(Rows.FLOATS, oT, at).div(sum).intoArray(oT, at);
      }
    }
  }
}
