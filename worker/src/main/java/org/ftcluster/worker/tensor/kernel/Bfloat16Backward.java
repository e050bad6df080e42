package org.ftcluster.worker.tensor.kernel;

import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import org.ftcluster.worker.tensor.kernel.BlockedAttention.Shape;

/** The backward with products of bfloat16; probabilities and dS are rounded to it. */
final class Bfloat16Backward extends Bfloat16Scratch {
  private final BlockedAttention.Backward operands;

  private final short[] keys;
  private final short[] keyColumns;
  private final short[] values;

  /** [tokens, width], summed over the query heads that share the keys. */
  private final float[] dKeys;

  private final float[] dValues;

  /** [BLOCK, width]. */
  private final float[] dO;

  private final float[] dQ;

  /** [width, BLOCK]. */
  private final float[] dQT;

  /** [BLOCK / 2, width, 2]: room. */
  private final int[] rowPairs;

  /** [tokens, BLOCK]: dO Vᵀ, transposed. */
  private final float[] dP;

  /** [tokens, BLOCK]. */
  private final short[] probabilities;

  private final short[] dS;

  /** [tokens / 2, BLOCK, 2]. */
  private final int[] dSPairs;

  Bfloat16Backward(Shape shape, BlockedAttention.Backward operands) {
    super(shape);
    this.operands = operands;
    keys = newRows();
    keyColumns = newColumns();
    values = newRows();
    dKeys = new float[tokens * width];
    dValues = new float[tokens * width];
    dO = new float[BLOCK * width];
    dQ = new float[BLOCK * width];
    dQT = new float[width * BLOCK];
    rowPairs = new int[BLOCK / 2 * width];
    dP = new float[tokens * BLOCK];
    probabilities = new short[tokens * BLOCK];
    dS = new short[tokens * BLOCK];
    dSPairs = new int[tokens / 2 * BLOCK];
  }

  @Override
  void begin(int head) {
    readRows(operands.in().keys(), head, keys);
    readColumns(operands.in().keys(), head, keyColumns);
    readRows(operands.in().values(), head, values);
    Arrays.fill(dKeys, 0);
    Arrays.fill(dValues, 0);
  }

  @Override
  void beginQueries(int queryHead) {
    operands.forward().logSumExp().read(queryHead, logSumExp);
  }

  @Override
  void run(int queryHead, Block block) {
    readBlock(operands.in().queries(), queryHead, block, queries);
    readBlock(operands.forward().attended(), queryHead, block, o);
    readBlock(operands.gradient(), queryHead, block, dO);
    scores(keys, queries, p, block);
    hide(block);
    scores(values, dO, dP, block);
    scoreGradients(block, (float) shape.scale(), dO, dP);
    round(p, probabilities, block);
    pairRows(dO, rowPairs, 0, BLOCK, width);
    addScoresTimes(probabilities, rowPairs, dValues, block);
    round(dP, dS, block);
    pairRows(queries, rowPairs, 0, BLOCK, width);
    addScoresTimes(dS, rowPairs, dKeys, block);
    pairRows(dP, dSPairs, block.from(), block.to(), BLOCK);
    timesScores(keyColumns, dSPairs, dQT, block);
    scale(dQT, (float) shape.scale());
    transpose(dQT, dQ, width, BLOCK);
    writeBlock(dQ, operands.gradients().queries(), queryHead, block);
  }

  @Override
  void end(int head) {
    scale(dKeys, (float) shape.scale());
    write(dKeys, operands.gradients().keys(), head);
    write(dValues, operands.gradients().values(), head);
  }

  private static void round(float[] from, short[] to, Block block) {
    for (int at = block.from() * BLOCK; at < block.to() * BLOCK; at += LANES) {
      VectorMath.toBfloat16(FloatVector.fromArray(Rows.FLOATS, from, at)).intoArray(to, at);
    }
  }
}
