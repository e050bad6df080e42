package org.ftcluster.worker.quantization;

import java.util.Arrays;

/** The values that 4-bit and 8-bit codes stand for, as bitsandbytes has them. */
final class CodeBooks {
  /**
   * Quantiles of the normal distribution scaled to [-1, 1], with an exact zero (arXiv:2305.14314,
   * appendix E).
   */
  static final float[] NF4 = {
    -1.0f,
    -0.6961928009986877f,
    -0.5250730514526367f,
    -0.39491748809814453f,
    -0.28444138169288635f,
    -0.18477343022823334f,
    -0.09105003625154495f,
    0.0f,
    0.07958029955625534f,
    0.16093020141124725f,
    0.24611230194568634f,
    0.33791524171829224f,
    0.44070982933044434f,
    0.5626170039176941f,
    0.7229568362236023f,
    1.0f
  };

  /** The signed dynamic map of 8-bit codes (arXiv:2110.02861), ascending. */
  static final float[] DYNAMIC = dynamicMap();

  private CodeBooks() {}

  /**
   * Where one code ends and the next begins: a value belongs to the code whose number is how many
   * bounds it exceeds.
   */
  static float[] bounds(float[] codeBook) {
    float[] bounds = new float[codeBook.length - 1];
    for (int i = 0; i < bounds.length; i++) {
      bounds[i] = (codeBook[i] + codeBook[i + 1]) / 2;
    }
    return bounds;
  }

  /**
   * For each power of ten down to 10⁻⁶, twice as many equally spaced fractions of it as for the
   * power below.
   */
  private static float[] dynamicMap() {
    float[] map = new float[256];
    int count = 0;
    for (int exponent = 0; exponent < 7; exponent++) {
      int fractions = 1 << exponent;
      double power = Math.pow(10, exponent - 6);
      for (int i = 0; i < fractions; i++) {
        float mean = (linspace(i, fractions) + linspace(i + 1, fractions)) / 2;
        map[count++] = (float) (power * mean);
        map[count++] = (float) (-power * mean);
      }
    }
    map[count++] = 0;
    map[count] = 1;
    Arrays.sort(map);
    return map;
  }

  /**
   * The i-th of {@code steps + 1} points from 0.1 to 1, computed from the nearer end as {@code
   * torch.linspace} does.
   */
  private static float linspace(int i, int steps) {
    float step = (1f - 0.1f) / steps;
    return i < (steps + 1) / 2 ? 0.1f + step * i : 1f - step * (steps - i);
  }
}
