package org.ftcluster.worker.optimizer;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.ftcluster.worker.model.ParameterBuffer;
import org.ftcluster.worker.tensor.Parallel;

/**
 * AdamW with decoupled weight decay (arXiv:1711.05101), in the arithmetic of PyTorch's {@code
 * torch.optim.AdamW}: bias corrections as factors of the step size and of the root, epsilon added
 * to the corrected root, the coefficients computed in float64 and rounded to float32.
 *
 * <p>Each element is computed alone and without fused multiply-add, so the result does not depend
 * on the width of the processor's vectors.
 *
 * @param beta1 how much of the running mean of the gradient stays each step
 * @param beta2 how much of the running mean of its square stays each step
 * @param epsilon keeps the quotient finite
 * @param weightDecay share of a parameter, times the learning rate, that is taken off each step
 */
public record AdamW(double beta1, double beta2, double epsilon, double weightDecay) {
  /** Elements handled at once, so that they stay in the first-level cache. */
  private static final int BLOCK = 2048;

  /** Blocks that are worth a thread. */
  private static final int GRAIN = 16;

  private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;

  /**
   * One optimizer step over all parameters, in place and in one pass.
   *
   * @param step counted from 1
   * @param gradientScale factor on the gradients, see {@link GradientClip}; they stay as they are
   */
  public void update(
      ParameterBuffer parameters,
      OptimizerState state,
      long step,
      double learningRate,
      float gradientScale) {
    for (ParameterBuffer.Slice slice : parameters.slices()) {
      update(slice, parameters, state, step, learningRate, gradientScale);
    }
  }

  private void update(
      ParameterBuffer.Slice slice,
      ParameterBuffer parameters,
      OptimizerState state,
      long step,
      double learningRate,
      float gradientScale) {
    float decay = slice.decays() ? (float) (1 - learningRate * weightDecay) : 1;
    float negativeStepSize = (float) -(learningRate / (1 - Math.pow(beta1, (double) step)));
    float rootCorrection = (float) Math.sqrt(1 - Math.pow(beta2, (double) step));
    int blocks = Math.toIntExact(Math.ceilDiv(slice.size(), (long) BLOCK));
    Parallel.rows(
        // Parameters and both moments are read and written, gradients read.
        new Parallel.Cost("AdamW", 0, 7.0 * Float.BYTES * slice.size()),
        blocks,
        GRAIN,
        (from, to) -> {
          Block block = new Block();
          for (int i = from; i < to; i++) {
            long first = slice.offset() + (long) i * BLOCK;
            int count = (int) Math.min(BLOCK, slice.offset() + slice.size() - first);
            block.read(parameters, state, first, count);
            update(block, count, decay, negativeStepSize, rootCorrection, gradientScale);
            block.write(parameters, state, first, count);
          }
        });
  }

  private void update(
      Block block,
      int count,
      float decay,
      float negativeStepSize,
      float rootCorrection,
      float gradientScale) {
    float[] p = block.parameters;
    float[] gradients = block.gradients;
    float[] m = block.firstMoment;
    float[] v = block.secondMoment;
    float gain1 = (float) (1 - beta1);
    float keep2 = (float) beta2;
    float gain2 = (float) (1 - beta2);
    float eps = (float) epsilon;
    for (int i = 0; i < count; i++) {
      float g = gradients[i] * gradientScale;
      float m1 = m[i] + (g - m[i]) * gain1;
      float v1 = v[i] * keep2 + g * gain2 * g;
      float root = (float) Math.sqrt(v1) / rootCorrection + eps;
      m[i] = m1;
      v[i] = v1;
      p[i] = p[i] * decay + m1 * negativeStepSize / root;
    }
  }

  /** A few thousand elements on the heap, where the compiler makes vectors of a plain loop. */
  private static final class Block {
    private final float[] parameters = new float[BLOCK];
    private final float[] gradients = new float[BLOCK];
    private final float[] firstMoment = new float[BLOCK];
    private final float[] secondMoment = new float[BLOCK];

    void read(ParameterBuffer buffer, OptimizerState state, long first, int count) {
      read(buffer.values(), parameters, first, count);
      read(buffer.gradients(), gradients, first, count);
      read(state.firstMoment(), firstMoment, first, count);
      read(state.secondMoment(), secondMoment, first, count);
    }

    void write(ParameterBuffer buffer, OptimizerState state, long first, int count) {
      write(parameters, buffer.values(), first, count);
      write(firstMoment, state.firstMoment(), first, count);
      write(secondMoment, state.secondMoment(), first, count);
    }

    private static void read(MemorySegment from, float[] to, long first, int count) {
      MemorySegment.copy(from, FLOAT, first * Float.BYTES, to, 0, count);
    }

    private static void write(float[] from, MemorySegment to, long first, int count) {
      MemorySegment.copy(from, 0, to, FLOAT, first * Float.BYTES, count);
    }
  }
}
