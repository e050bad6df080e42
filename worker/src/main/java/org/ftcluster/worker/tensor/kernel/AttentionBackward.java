package org.ftcluster.worker.tensor.kernel;

import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import org.ftcluster.worker.tensor.kernel.ShortAttention.Shape;

/**
 * The backward of one block: {@code dV += Pᵀ dO}, {@code dS = P (dO Vᵀ - rowsum(dO O))}, {@code dQ
 * = scale dS K}, {@code dK += scale dSᵀ Q}.
 */
final class AttentionBackward extends AttentionScratch {
  /** [tokens, width], summed over the query heads that share the keys. */
  final float[] dKeys;

  final float[] dValues;

  /** [BLOCK, width]. */
  final float[] dO;

  final float[] dQ;

  /** [width, BLOCK]. */
  private final float[] dOT;

  /** [tokens, BLOCK]. */
  private final float[] dS;

  /** [BLOCK]: rowsum(dO O). */
  private final float[] projection = new float[BLOCK];

  AttentionBackward(Shape shape) {
    super(shape);
    dKeys = new float[tokens * width];
    dValues = new float[tokens * width];
    dO = new float[BLOCK * width];
    dQ = new float[BLOCK * width];
    dOT = new float[width * BLOCK];
    dS = new float[tokens * BLOCK];
  }

  /** Begins another key/value head. */
  void clear() {
    Arrays.fill(dKeys, 0);
    Arrays.fill(dValues, 0);
  }

  /** Adds to {@code dKeys} and {@code dValues}, and leaves {@code dQ}. */
  void run(Block block) {
    scores(block);
    transpose(dO, dOT);
    scores(dS, values, dOT, block);
    scoreGradients(block);
    transposedTimes(p, dO, dValues, block);
    transposedTimes(dS, queries, dKeys, block);
    times(dS, keys, dQ, block);
    scaleRows(dQ, (float) shape.scale());
  }

  /**
   * The probabilities again, from scores in {@code p} and what the forward noted, and {@code dS = P
   * (dP - rowsum(dO O))} from dP in {@code dS}.
   */
  private void scoreGradients(Block block) {
    for (int t = 0; t < BLOCK; t++) {
      projection[t] = VectorMath.dot(dO, t * width, o, t * width, shape.headSize());
    }
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
