package org.ftcluster.worker.optimizer;

import static java.nio.ByteOrder.nativeOrder;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;
import org.ftcluster.worker.model.ParameterBuffer;
import org.ftcluster.worker.tensor.Profile;

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
  private static final VectorSpecies<Float> SPECIES = FloatVector.SPECIES_PREFERRED;
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
    long start = Profile.begin();
    for (ParameterBuffer.Slice slice : parameters.slices()) {
      update(
          slice.of(parameters.values()),
          slice.of(parameters.gradients()),
          slice.of(state.firstMoment()),
          slice.of(state.secondMoment()),
          step,
          learningRate,
          slice.decays() ? weightDecay : 0,
          gradientScale);
    }
    // Parameters and both moments are read and written, gradients read.
    Profile.ended("AdamW", start, 0, 7.0 * Float.BYTES * parameters.size());
  }

  private void update(
      MemorySegment parameters,
      MemorySegment gradients,
      MemorySegment m,
      MemorySegment v,
      long step,
      double learningRate,
      double weightDecay,
      float gradientScale) {
    float decay = (float) (1 - learningRate * weightDecay);
    float gain1 = (float) (1 - beta1);
    float keep2 = (float) beta2;
    float gain2 = (float) (1 - beta2);
    float negativeStepSize = (float) -(learningRate / (1 - Math.pow(beta1, (double) step)));
    float rootCorrection = (float) Math.sqrt(1 - Math.pow(beta2, (double) step));
    float eps = (float) epsilon;

    long bytes = parameters.byteSize();
    long at = 0;
    for (long end = bytes - SPECIES.vectorByteSize(); at <= end; at += SPECIES.vectorByteSize()) {
      FloatVector p = load(parameters, at);
      FloatVector g = load(gradients, at).mul(gradientScale);
      FloatVector m0 = load(m, at);
      FloatVector m1 = m0.add(g.sub(m0).mul(gain1));
      FloatVector v1 = load(v, at).mul(keep2).add(g.mul(gain2).mul(g));
      FloatVector root = v1.sqrt().div(rootCorrection).add(eps);
      FloatVector p1 = p.mul(decay).add(m1.mul(negativeStepSize).div(root));
      m1.intoMemorySegment(m, at, nativeOrder());
      v1.intoMemorySegment(v, at, nativeOrder());
      p1.intoMemorySegment(parameters, at, nativeOrder());
    }
    for (; at < bytes; at += Float.BYTES) {
      float p = parameters.get(FLOAT, at);
      float g = gradients.get(FLOAT, at) * gradientScale;
      float m0 = m.get(FLOAT, at);
      float m1 = m0 + (g - m0) * gain1;
      float v1 = v.get(FLOAT, at) * keep2 + g * gain2 * g;
      float root = (float) Math.sqrt(v1) / rootCorrection + eps;
      m.set(FLOAT, at, m1);
      v.set(FLOAT, at, v1);
      parameters.set(FLOAT, at, p * decay + m1 * negativeStepSize / root);
    }
  }

  private static FloatVector load(MemorySegment segment, long at) {
    return FloatVector.fromMemorySegment(SPECIES, segment, at, nativeOrder());
  }
}
