package org.ftcluster.worker.model;

import java.util.Arrays;
import org.ftcluster.worker.model.ModelConfig.RopeScaling;
import org.ftcluster.worker.tensor.kernel.Rotary;

/**
 * Cosines and sines of rotary angles by position, grown as longer sequences come. Used by one
 * thread.
 */
final class RotaryTable {
  private final float[] inverseFrequencies;
  private final float magnitude;
  private final int longest;
  private float[][] cos = {};
  private float[][] sin = {};

  RotaryTable(ModelConfig.Rotary rotary) {
    inverseFrequencies = new float[rotary.size() / 2];
    for (int i = 0; i < inverseFrequencies.length; i++) {
      double exponent = 2.0 * i / rotary.size();
      double frequency = 1 / Math.pow(rotary.theta(), exponent);
      inverseFrequencies[i] =
          (float)
              switch (rotary.scaling()) {
                case null -> frequency;
                case RopeScaling.Linear linear -> frequency / linear.factor();
                case RopeScaling.Llama3 llama3 -> scale(frequency, llama3);
                case RopeScaling.LongRope longRope -> frequency / longRope.factors().get(i);
              };
    }
    if (rotary.scaling() instanceof RopeScaling.LongRope longRope) {
      magnitude = (float) longRope.magnitude();
      longest = longRope.originalContext();
    } else {
      magnitude = 1;
      longest = Integer.MAX_VALUE;
    }
  }

  /** As {@code _compute_llama3_parameters} of Transformers. */
  private static double scale(double frequency, RopeScaling.Llama3 scaling) {
    double wavelength = 2 * Math.PI / frequency;
    double context = scaling.originalContext();
    if (wavelength > context / scaling.lowFrequencyFactor()) {
      return frequency / scaling.factor();
    }
    if (wavelength < context / scaling.highFrequencyFactor()) {
      return frequency;
    }
    double smooth =
        (context / wavelength - scaling.lowFrequencyFactor())
            / (scaling.highFrequencyFactor() - scaling.lowFrequencyFactor());
    return (1 - smooth) * frequency / scaling.factor() + smooth * frequency;
  }

  /** Of at least {@code positions} positions. */
  Rotary.Angles angles(int positions) {
    if (positions > longest) {
      throw new IllegalArgumentException("%d positions of %d".formatted(positions, longest));
    }
    grow(positions);
    return new Rotary.Angles(inverseFrequencies, magnitude, cos, sin);
  }

  private void grow(int positions) {
    int known = cos.length;
    if (positions <= known) {
      return;
    }
    int count = Math.max(positions, Math.min(2 * known, 1 << 20));
    cos = Arrays.copyOf(cos, count);
    sin = Arrays.copyOf(sin, count);
    for (int position = known; position < count; position++) {
      cos[position] = new float[inverseFrequencies.length];
      sin[position] = new float[inverseFrequencies.length];
      for (int i = 0; i < inverseFrequencies.length; i++) {
        float angle = position * inverseFrequencies[i];
        cos[position][i] = magnitude * (float) Math.cos(angle);
        sin[position][i] = magnitude * (float) Math.sin(angle);
      }
    }
  }
}
