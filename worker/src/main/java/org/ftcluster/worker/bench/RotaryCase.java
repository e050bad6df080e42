package org.ftcluster.worker.bench;

import java.util.stream.IntStream;
import org.ftcluster.worker.tensor.Tensor;
import org.ftcluster.worker.tensor.kernel.Rotary;

/** Rotates tokens that aren't in the order of their positions. */
final class RotaryCase {
  private RotaryCase() {}

  /**
   * @param x [T, heads C]
   * @param head C
   * @param rotated elements of each head, its first ones
   */
  static void run(Tensor x, int head, int rotated, float magnitude, int direction) {
    int tokens = Math.toIntExact(x.size(0));
    int[] positions = IntStream.range(0, tokens).map(t -> (t * 7) % tokens).toArray();
    Rotary.rotate(x, head, positions, angles(tokens, rotated, magnitude), direction);
  }

  private static Rotary.Angles angles(int positions, int rotated, float magnitude) {
    float[] frequencies = new float[rotated / 2];
    for (int i = 0; i < frequencies.length; i++) {
      frequencies[i] = (float) Math.pow(10000, -2.0 * i / rotated);
    }
    float[][] cos = new float[positions][frequencies.length];
    float[][] sin = new float[positions][frequencies.length];
    for (int position = 0; position < positions; position++) {
      for (int i = 0; i < frequencies.length; i++) {
        float angle = position * frequencies[i];
        cos[position][i] = magnitude * (float) Math.cos(angle);
        sin[position][i] = magnitude * (float) Math.sin(angle);
      }
    }
    return new Rotary.Angles(frequencies, magnitude, cos, sin);
  }
}
