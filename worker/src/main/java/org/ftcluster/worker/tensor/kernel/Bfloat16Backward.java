package org.ftcluster.worker.tensor.kernel;

import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import org.ftcluster.worker.tensor.kernel.BlockedAttention.Shape;

/** The backward with products of bfloat16; probabilities and dS are rounded to it. */
final class Bfloat16Backward extends Bfloat16Scratch {
  private final BlockedAttention.Inputs in;
  private final BlockedAttention.Outputs forward;
  private final Rows gradient;
  private final BlockedAttention.Inputs gradients;

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

  /** [BLOCK]: rowsum(dO O). */
  private final float[] projection = new float[BLOCK];

  Bfloat16Backward(
      Shape shape,
      BlockedAttention.Inputs in,
      BlockedAttention.Outputs forward,
      Rows gradient,
      BlockedAttention.Inputs gradients) {
    super(shape);
    this.in = in;
    this.forward = forward;
    this.gradient = gradient;
    this.gradients = gradients;
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
    readRows(in.keys(), head, keys);
    readColumns(in.keys(), head, keyColumns);
    readRows(in.values(), head, values);
    Arrays.fill(dKeys, 0);
    Arrays.fill(dValues, 0);
  }

  @Override
  void beginQueries(int queryHead) {
    forward.logSumExp().read(queryHead, logSumExp);
  }

  @Override
  void run(int queryHead, Block block) {
    readBlock(in.queries(), queryHead, block, queries);
    readBlock(forward.attended(), queryHead, block, o);
    readBlock(gradient, queryHead, block, dO);
    projections(dO, projection);
    scores(keys, queries, p, block);
    hide(block);
    scores(values, dO, dP, block);
    scoreGradients(block);
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
    writeBlock(dQ, gradients.queries(), queryHead, block);
  }

  @Override
  void end(int head) {
    scale(dKeys, (float) shape.scale());
    write(dKeys, gradients.keys(), head);
    write(dValues, gradients.values(), head);
  }

  /**
   * The probabilities again, from scores in {@code p} and what the forward noted, and {@code dS = P
   * (dP - rowsum(dO O))}, each in the place of what it is made of.
   */
  private void scoreGradients(Block block) {
    float scale = (float) shape.scale();
    for (int lane = 0; lane < BLOCK; lane += LANES) {
      FloatVector shift = FloatVector.fromArray(Rows.FLOATS, logSumExp, block.first() + lane);
      FloatVector less = FloatVector.fromArray(Rows.FLOATS, projection, lane);
      for (int key = block.from(); key < block.to(); key++) {
        int at = key * BLOCK + lane;
        FloatVector score = FloatVector.fromArray(Rows.FLOATS, p, at);
        FloatVector probability = VectorMath.exp(score.mul(scale).sub(shift));
        probability.intoArray(p, at);
        FloatVector gradient = FloatVector.fromArray(Rows.FLOATS, dP, at).sub(less);
        gradient.mul(probability).intoArray(dP, at);
      }
    }
  }

  private static void round(float[] from, short[] to, Block block) {
    for (int at = block.from() * BLOCK; at < block.to() * BLOCK; at += LANES) {
      VectorMath.toBfloat16(FloatVector.fromArray(Rows.FLOATS, from, at)).intoArray(to, at);
    }
  }
}
