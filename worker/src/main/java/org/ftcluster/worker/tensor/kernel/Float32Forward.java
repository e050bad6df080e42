package org.ftcluster.worker.tensor.kernel;

import org.ftcluster.worker.tensor.kernel.BlockedAttention.Shape;

/** The forward of one block: {@code P = softmax(scale Q Kᵀ)}, {@code O = P V}. */
final class Float32Forward extends Float32Scratch {
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

  /** Of the outputs, which are fewer than the scores. */
  private void normalize() {
    for (int t = 0; t < BLOCK; t++) {
      float factor = 1 / rowSums[t];
      for (int i = t * width; i < (t + 1) * width; i++) {
        o[i] *= factor;
      }
    }
  }
}
