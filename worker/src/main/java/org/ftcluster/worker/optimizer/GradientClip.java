package org.ftcluster.worker.optimizer;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.ftcluster.worker.tensor.Profile;

/** Clipping by the global norm, as {@code torch.nn.utils.clip_grad_norm_} does it. */
public final class GradientClip {
  private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;

  /** Independent sums; fixed, so that the last bits don't depend on the processor. */
  private static final int LANES = 8;

  /** PyTorch's guard against a division by zero. */
  private static final double EPSILON = 1e-6;

  private GradientClip() {}

  /**
   * The L2 norm over all gradients, float32, summed in float64 in an order that depends on their
   * number only. NaN or infinite where one of them is.
   */
  public static double norm(MemorySegment gradients) {
    long start = Profile.begin();
    double s0 = 0;
    double s1 = 0;
    double s2 = 0;
    double s3 = 0;
    double s4 = 0;
    double s5 = 0;
    double s6 = 0;
    double s7 = 0;
    long bytes = gradients.byteSize();
    long at = 0;
    for (long end = bytes - LANES * Float.BYTES; at <= end; at += LANES * Float.BYTES) {
      s0 += square(gradients, at);
      s1 += square(gradients, at + 4);
      s2 += square(gradients, at + 8);
      s3 += square(gradients, at + 12);
      s4 += square(gradients, at + 16);
      s5 += square(gradients, at + 20);
      s6 += square(gradients, at + 24);
      s7 += square(gradients, at + 28);
    }
    for (; at < bytes; at += Float.BYTES) {
      s0 += square(gradients, at);
    }
    Profile.ended("gradient norm", start, 0, bytes);
    return Math.sqrt(((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7)));
  }

  /**
   * The factor that brings gradients of that norm down to {@code maxNorm}; 1 where they are within
   * it, or where {@code maxNorm} is 0.
   */
  public static float scale(double norm, double maxNorm) {
    return maxNorm == 0 ? 1 : (float) Math.min(1, maxNorm / (norm + EPSILON));
  }

  private static double square(MemorySegment gradients, long at) {
    double value = gradients.get(FLOAT, at);
    return value * value;
  }
}
