package org.ftcluster.worker.tensor.kernel;

import jdk.incubator.vector.FloatVector;
import org.ftcluster.worker.tensor.kernel.BlockedAttention.Shape;

/** The forward of one block: {@code P = softmax(scale Q Kᵀ)}, {@code O = P V}. */
final class Float32Forward extends Float32Scratch {
  /** [BLOCK]: what makes probabilities of exponentials. */
  private final float[] inverse = new float[BLOCK];

  private final BlockedAttention.Inputs in;
  private final BlockedAttention.Outputs out;

  Float32Forward(Shape shape, BlockedAttention.Inputs in, BlockedAttention.Outputs out) {
    super(shape);
    this.in = in;
    this.out = out;
  }

  @Override
  void begin(int keyValueHead) {
    read(in.keys(), keyValueHead, keys);
    read(in.values(), keyValueHead, values);
  }

  @Override
  void run(int queryHead, Block block) {
    readQueries(in.queries(), queryHead, block);
    scores(block);
    softmax(block);
    times(p, values, o, block);
    normalize();
    writeBlock(o, out.attended(), queryHead, block);
  }

  @Override
  void endQueries(int queryHead) {
    out.logSumExp().write(queryHead, logSumExp);
  }

  /**
   * Turns scores into exponentials that {@code inverse} makes probabilities of, and notes each
   * row's log of the sum.
   */
  private void softmax(Block block) {
    for (int lane = 0; lane < BLOCK; lane += LANES) {
      FloatVector max = FloatVector.broadcast(Rows.FLOATS, Float.NEGATIVE_INFINITY);
      for (int key = block.from(); key < block.to(); key++) {
        max = VectorMath.max(max, FloatVector.fromArray(Rows.FLOATS, p, key * BLOCK + lane));
      }
      FloatVector sum = FloatVector.zero(Rows.FLOATS);
      for (int key = block.from(); key < block.to(); key++) {
        int at = key * BLOCK + lane;
        FloatVector e = VectorMath.exp(FloatVector.fromArray(Rows.FLOATS, p, at).sub(max));
        e.intoArray(p, at);
        sum = sum.add(e);
      }
      sum.intoArray(inverse, lane);
      max.intoArray(logSumExp, block.first() + lane);
    }
    for (int t = 0; t < BLOCK; t++) {
      logSumExp[block.first() + t] += (float) Math.log(inverse[t]);
      inverse[t] = 1 / inverse[t];
    }
  }

  /** Of the outputs, which are fewer than the scores. */
  private void normalize() {
    for (int t = 0; t < BLOCK; t++) {
      float factor = inverse[t];
      for (int i = t * width; i < (t + 1) * width; i++) {
        o[i] *= factor;
      }
    }
  }
}
