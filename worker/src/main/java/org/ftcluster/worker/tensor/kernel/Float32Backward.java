package org.ftcluster.worker.tensor.kernel;

import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import org.ftcluster.worker.tensor.kernel.BlockedAttention.Shape;

/**
 * The backward of one block: {@code dV += Pᵀ dO}, {@code dS = P (dO Vᵀ - rowsum(dO O))}, {@code dQ
 * = scale dS K}, {@code dK += scale dSᵀ Q}.
 */
final class Float32Backward extends Float32Scratch {
  /** [tokens, width], summed over the query heads that share the keys. */
  private final float[] dKeys;

  private final float[] dValues;

  /** [BLOCK, width]. */
  private final float[] dO;

  private final float[] dQ;

  /** [width, BLOCK]. */
  private final float[] dOT;

  /** [tokens, BLOCK]. */
  private final float[] dS;

  /** [BLOCK]: rowsum(dO O). */
  private final float[] projection = new float[BLOCK];

  private final BlockedAttention.Inputs in;
  private final BlockedAttention.Outputs forward;
  private final Rows gradient;
  private final BlockedAttention.Inputs gradients;

  Float32Backward(
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
    dKeys = new float[tokens * width];
    dValues = new float[tokens * width];
    dO = new float[BLOCK * width];
    dQ = new float[BLOCK * width];
    dOT = new float[width * BLOCK];
    dS = new float[tokens * BLOCK];
  }

  @Override
  void begin(int keyValueHead) {
    read(in.keys(), keyValueHead, keys);
    read(in.values(), keyValueHead, values);
    Arrays.fill(dKeys, 0);
    Arrays.fill(dValues, 0);
  }

  @Override
  void beginQueries(int queryHead) {
    forward.logSumExp().read(queryHead, logSumExp);
  }

  @Override
  void run(int queryHead, Block block) {
    readQueries(in.queries(), queryHead, block);
    readBlock(forward.attended(), queryHead, block, o);
    readBlock(gradient, queryHead, block, dO);
    scores(block);
    transpose(dO, dOT, BLOCK, width);
    scores(dS, values, dOT, block);
    scoreGradients(block);
    transposedTimes(p, dO, dValues, block);
    transposedTimes(dS, queries, dKeys, block);
    times(dS, keys, dQ, block);
    scale(dQ, (float) shape.scale());
    writeBlock(dQ, gradients.queries(), queryHead, block);
  }

  @Override
  void end(int keyValueHead) {
    write(dKeys, gradients.keys(), keyValueHead);
    write(dValues, gradients.values(), keyValueHead);
  }

  /**
   * The probabilities again, from scores in {@code p} and what the forward noted, and {@code dS = P
   * (dP - rowsum(dO O))} from dP in {@code dS}.
   */
  private void scoreGradients(Block block) {
    projections(dO, projection);
    for (int lane = 0; lane < BLOCK; lane += LANES) {
      FloatVector shift = FloatVector.fromArray(Rows.FLOATS, logSumExp, block.first() + lane);
      FloatVector less = FloatVector.fromArray(Rows.FLOATS, projection, lane);
      for (int key = block.from(); key < block.to(); key++) {
        int at = key * BLOCK + lane;
        FloatVector score = FloatVector.fromArray(Rows.FLOATS, p, at);
        FloatVector probability = VectorMath.exp(score.sub(shift));
        probability.intoArray(p, at);
        FloatVector.fromArray(Rows.FLOATS, dS, at).sub(less).mul(probability).intoArray(dS, at);
      }
    }
  }

  /** {@code out += s b} for scores s [tokens, BLOCK] and a block b [BLOCK, width]. */
  private void transposedTimes(float[] scores, float[] b, float[] out, Block block) {
    Tiles.multiply(
        scores,
        block.from() * BLOCK,
        BLOCK,
        1,
        b,
        0,
        width,
        out,
        block.from() * width,
        width,
        block.to() - block.from(),
        BLOCK,
        width,
        true);
  }
}
