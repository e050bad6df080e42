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
    softmax(block, (float) shape.scale());
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

  /** Of the outputs, which are fewer than the scores. */
  private void normalize() {
    for (int lane = 0; lane < BLOCK; lane += LANES) {
      FloatVector sum = FloatVector.fromArray(Rows.FLOATS, rowSums, lane);
      for (int at = lane; at < headSize * BLOCK; at += BLOCK) {
        FloatVector.fromArray(Rows.FLOATS, oT, at).div(sum).intoArray(oT, at);
      }
    }
  }
}
