package org.ftcluster.worker.tensor.kernel;

import java.util.Arrays;
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

  private final BlockedAttention.Backward operands;

  Float32Backward(Shape shape, BlockedAttention.Backward operands) {
    super(shape);
    this.operands = operands;
    dKeys = new float[tokens * width];
    dValues = new float[tokens * width];
    dO = new float[BLOCK * width];
    dQ = new float[BLOCK * width];
    dOT = new float[width * BLOCK];
    dS = new float[tokens * BLOCK];
  }

  @Override
  void begin(int keyValueHead) {
    read(operands.in().keys(), keyValueHead, keys);
    read(operands.in().values(), keyValueHead, values);
    Arrays.fill(dKeys, 0);
    Arrays.fill(dValues, 0);
  }

  @Override
  void beginQueries(int queryHead) {
    operands.forward().logSumExp().read(queryHead, logSumExp);
  }

  @Override
  void run(int queryHead, Block block) {
    readQueries(operands.in().queries(), queryHead, block);
    readBlock(operands.forward().attended(), queryHead, block, o);
    readBlock(operands.gradient(), queryHead, block, dO);
    scores(block);
    transpose(dO, dOT, BLOCK, width);
    scores(dS, values, dOT, block);
    scoreGradients(block, dO, dS);
    transposedTimes(p, dO, dValues, block);
    transposedTimes(dS, queries, dKeys, block);
    times(dS, keys, dQ, block);
    scale(dQ, (float) shape.scores().scale());
    writeBlock(dQ, operands.gradients().queries(), queryHead, block);
  }

  @Override
  void end(int keyValueHead) {
    write(dKeys, operands.gradients().keys(), keyValueHead);
    write(dValues, operands.gradients().values(), keyValueHead);
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
