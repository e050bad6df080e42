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
  private float[][] cos = {};
  private float[][] sin = {};

  RotaryTable(ModelConfig config) {
    inverseFrequencies = new float[config.headSize() / 2];
    for (int i = 0; i < inverseFrequencies.length; i++) {
      double exponent = 2.0 * i / config.headSize();
      double frequency = 1 / Math.pow(config.ropeTheta(), exponent);
      inverseFrequencies[i] =
          (float)
              switch (config.ropeScaling()) {
                case null -> frequency;
                case RopeScaling.Linear linear -> frequency / linear.factor();
                case RopeScaling.Llama3 llama3 -> scale(frequency, llama3);
              };
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
    grow(positions);
    return new Rotary.Angles(inverseFrequencies, cos, sin);
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
        cos[position][i] = (float) Math.cos(angle);
        sin[position][i] = (float) Math.sin(angle);
      }
    }
  }
}
