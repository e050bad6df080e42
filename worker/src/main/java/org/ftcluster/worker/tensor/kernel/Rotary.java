package org.ftcluster.worker.tensor.kernel;

import jdk.incubator.vector.FloatVector;
import org.ftcluster.worker.tensor.Parallel;
import org.ftcluster.worker.tensor.Tensor;

/**
 * Rotary position embedding (arXiv:2104.09864) in the layout of Hugging Face models: of the first
 * elements of a head, as many as are rotated, element i of the first half is rotated together with
 * element i of the second half. The backward of a rotation is the rotation the other way.
 */
public final class Rotary {
  private static final int GRAIN = 32;

  private Rotary() {}

  /**
   * By what an element turns: its frequency times the position.
   *
   * @param frequencies half as many as elements that are rotated
   * @param magnitude what is rotated is multiplied by it
   * @param cos [position][frequency], as {@code sin}: of every angle that occurs, times the
   *     magnitude
   */
  public record Angles(float[] frequencies, float magnitude, float[][] cos, float[][] sin) {
    /** Refuses what doesn't fit. */
    void check(Tensor x, int width, int headSize, int[] positions) {
      if (positions.length != x.size(0)
          || width % headSize != 0
          || 2 * frequencies.length > headSize) {
        throw new IllegalArgumentException(
            "rotation of %s: %d positions, head size %d, %d frequencies"
                .formatted(x, positions.length, headSize, frequencies.length));
      }
    }
  }

  /**
   * Rotates all heads of every token in place.
   *
   * @param x [T, heads * C]
   * @param headSize C
   * @param positions of each token within its sequence; T of them
   * @param direction 1 for the forward, -1 for the backward
   */
  public static void rotate(Tensor x, int headSize, int[] positions, Angles angles, int direction) {
    if (x.isOnDevice()) {
      DeviceRotary.rotate(x, headSize, positions, angles, direction);
      return;
    }
    float[][] cos = angles.cos();
    float[][] sin = angles.sin();
    Rows rows = Rows.of(x);
    angles.check(x, rows.width(), headSize, positions);
    int half = angles.frequencies().length;
    Parallel.rows(
        Parallel.Cost.through("rotary", x, x),
        x.size(0),
        GRAIN,
        (from, to) -> {
          float[] row = new float[rows.width()];
          for (int t = from; t < to; t++) {
            rows.read(t, row);
            float[] c = cos[positions[t]];
            float[] s = sin[positions[t]];
            for (int head = 0; head < row.length; head += headSize) {
              rotateHead(row, head, half, c, s, direction);
            }
            rows.write(t, row);
          }
        });
  }

  private static void rotateHead(
      float[] row, int head, int half, float[] cos, float[] sin, int direction) {
    int i = 0;
    for (int end = Rows.FLOATS.loopBound(half); i < end; i += Rows.FLOATS.length()) {
      FloatVector a = FloatVector.fromArray(Rows.FLOATS, row, head + i);
      FloatVector b = FloatVector.fromArray(Rows.FLOATS, row, head + half + i);
      FloatVector c = FloatVector.fromArray(Rows.FLOATS, cos, i);
      FloatVector s = FloatVector.fromArray(Rows.FLOATS, sin, i).mul(direction);
      a.mul(c).sub(b.mul(s)).intoArray(row, head + i);
      b.mul(c).add(a.mul(s)).intoArray(row, head + half + i);
    }
    for (; i < half; i++) {
      float a = row[head + i];
      float b = row[head + half + i];
      float s = direction * sin[i];
      row[head + i] = a * cos[i] - b * s;
      row[head + half + i] = b * cos[i] + a * s;
    }
  }
}
