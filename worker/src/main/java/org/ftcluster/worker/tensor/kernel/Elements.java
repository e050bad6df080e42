package org.ftcluster.worker.tensor.kernel;

import jdk.incubator.vector.FloatVector;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Parallel;
import org.ftcluster.worker.tensor.Tensor;

/** What is done to each element of a matrix by itself, in place. */
public final class Elements {
  private static final int GRAIN = 64;
  private static final int LANES = Rows.FLOATS.length();

  private Elements() {}

  /**
   * {@code x *= factor}.
   *
   * @param number the factor, which is rounded to the type of {@code x}
   */
  public static void scale(Tensor x, double number) {
    float factor = x.dtype() == DType.BFLOAT16 ? Rows.toBfloat16((float) number) : (float) number;
    if (x.isOnDevice()) {
      DeviceElements.scale(x, factor);
      return;
    }
    Rows rows = Rows.of(x);
    Parallel.rows(
        Parallel.Cost.through("scale", x, x),
        x.size(0),
        GRAIN,
        (from, to) -> {
          float[] row = new float[rows.width()];
          for (int n = from; n < to; n++) {
            rows.read(n, row);
            scale(row, factor);
            rows.write(n, row);
          }
        });
  }

  /**
   * Multiplies each row by a factor of its own.
   *
   * @param factors {@code factors[start]} is row 0's; on a device long runs of the same are fast
   */
  public static void scaleRows(Tensor x, float[] factors, int start) {
    int count = Math.toIntExact(x.size(0));
    if (x.isOnDevice()) {
      for (int from = 0; from < count; ) {
        float factor = factors[start + from];
        int to = from + 1;
        while (to < count && factors[start + to] == factor) {
          to++;
        }
        DeviceElements.scale(x.slice(0, from, to), factor);
        from = to;
      }
      return;
    }
    Rows rows = Rows.of(x);
    Parallel.rows(
        Parallel.Cost.through("scale", x, x),
        count,
        GRAIN,
        (from, to) -> {
          float[] row = new float[rows.width()];
          for (int n = from; n < to; n++) {
            rows.read(n, row);
            scale(row, factors[start + n]);
            rows.write(n, row);
          }
        });
  }

  private static void scale(float[] row, float factor) {
    for (int i = 0; i < row.length; i++) {
      row[i] *= factor;
    }
  }

  /** {@code x = cap tanh(x / cap)}. */
  public static void cap(Tensor x, float cap) {
    if (x.isOnDevice()) {
      DeviceElements.cap(x, cap);
      return;
    }
    Rows rows = Rows.of(x);
    Parallel.rows(
        Parallel.Cost.through("cap", x, x),
        x.size(0),
        GRAIN,
        (from, to) -> {
          float[] row = new float[Tiles.pad(rows.width(), LANES)];
          for (int n = from; n < to; n++) {
            rows.read(n, 0, row, rows.width());
            cap(row, cap);
            rows.write(n, 0, row, rows.width());
          }
        });
  }

  private static void cap(float[] row, float cap) {
    for (int i = 0; i < row.length; i += LANES) {
      FloatVector tanh = VectorMath.tanh(FloatVector.fromArray(Rows.FLOATS, row, i).div(cap));
      tanh.mul(cap).intoArray(row, i);
    }
  }

  /**
   * The gradient of what {@link #cap} was given from that of what it made: {@code dx *= 1 - (y /
   * cap)²}.
   */
  public static void capBackward(Tensor dx, Tensor y, float cap) {
    RowOps.checkWidths(dx, y);
    if (dx.isOnDevice()) {
      DeviceElements.capBackward(dx, y, cap);
      return;
    }
    Rows gradients = Rows.of(dx);
    Rows rows = Rows.of(y);
    Parallel.rows(
        Parallel.Cost.through("cap backward", dx, dx, y),
        dx.size(0),
        GRAIN,
        (from, to) -> {
          float[] row = new float[rows.width()];
          float[] gradient = new float[rows.width()];
          for (int n = from; n < to; n++) {
            rows.read(n, row);
            gradients.read(n, gradient);
            for (int i = 0; i < row.length; i++) {
              float tanh = row[i] / cap;
              gradient[i] *= 1 - tanh * tanh;
            }
            gradients.write(n, gradient);
          }
        });
  }
}
