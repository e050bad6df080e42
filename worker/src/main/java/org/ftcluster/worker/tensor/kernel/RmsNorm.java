package org.ftcluster.worker.tensor.kernel;

import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Parallel;
import org.ftcluster.worker.tensor.Tensor;

/**
 * Root-mean-square norm of rows (arXiv:1910.07467): {@code y = (w + offset) x r} with {@code r = 1
 * / sqrt(mean(x²) + eps)}.
 *
 * <p>Backward, with {@code g = (w + offset) dy} and {@code n = x r}: {@code dx = r (g - n mean(g
 * n))}, and {@code dw} is the sum of {@code dy n} over the rows.
 */
public final class RmsNorm {
  private static final int GRAIN = 64;

  private RmsNorm() {}

  /**
   * @param y [T, D] out; may be {@code x}
   * @param x [T, D]
   * @param weight float32 [D]
   * @param offset 1 where weights are kept as what they differ from it by, as Gemma does; else 0
   */
  public static void forward(Tensor y, Tensor x, Tensor weight, float offset, double eps) {
    if (y.isOnDevice()) {
      DeviceRmsNorm.forward(y, x, weight, offset, eps);
      return;
    }
    Rows in = Rows.of(x);
    Rows out = Rows.of(y);
    float[] w = values(weight, offset);
    checkWidth(in, w, x);
    checkWidth(out, w, y);
    Parallel.rows(
        Parallel.Cost.through("norm", y, x),
        x.size(0),
        GRAIN,
        (from, to) -> {
          float[] row = new float[in.width()];
          for (int t = from; t < to; t++) {
            in.read(t, row);
            float r = inverseRms(row, eps);
            for (int i = 0; i < row.length; i++) {
              row[i] = row[i] * r * w[i];
            }
            out.write(t, row);
          }
        });
  }

  /**
   * {@code dx += } the gradient of the norm's input.
   *
   * @param dx [T, D] accumulated into
   * @param dy [T, D] gradient of the output
   * @param x [T, D] input of the forward
   */
  public static void backward(
      Tensor dx, Tensor dy, Tensor x, Tensor weight, float offset, double eps) {
    if (dx.isOnDevice()) {
      DeviceRmsNorm.backward(dx, dy, x, weight, offset, eps);
      return;
    }
    Rows in = Rows.of(x);
    Rows gradient = Rows.of(dy);
    Rows sum = Rows.of(dx);
    float[] w = values(weight, offset);
    checkWidth(in, w, x);
    checkWidth(gradient, w, dy);
    checkWidth(sum, w, dx);
    Parallel.rows(
        Parallel.Cost.through("norm backward", dx, dx, dy, x),
        x.size(0),
        GRAIN,
        (from, to) -> {
          float[] row = new float[w.length];
          float[] g = new float[w.length];
          float[] acc = new float[w.length];
          for (int t = from; t < to; t++) {
            in.read(t, row);
            gradient.read(t, g);
            sum.read(t, acc);
            float r = inverseRms(row, eps);
            for (int i = 0; i < g.length; i++) {
              g[i] *= w[i];
            }
            float projection = VectorMath.dot(g, 0, row, 0, row.length) * r * r * r / row.length;
            for (int i = 0; i < g.length; i++) {
              acc[i] += r * g[i] - projection * row[i];
            }
            sum.write(t, acc);
          }
        });
  }

  /**
   * Writes the gradient of the weight.
   *
   * @param dw float32 [D] out
   * @param dy [T, D] gradient of the output
   * @param x [T, D] input of the forward
   */
  public static void weightGradient(Tensor dw, Tensor dy, Tensor x, double eps) {
    if (dw.isOnDevice()) {
      DeviceRmsNorm.weightGradient(dw, dy, x, eps);
      return;
    }
    Rows in = Rows.of(x);
    Rows gradient = Rows.of(dy);
    if (in.width() != gradient.width() || x.size(0) != dy.size(0)) {
      throw new IllegalArgumentException("%s and %s differ in shape".formatted(x, dy));
    }
    float[] r = new float[Math.toIntExact(x.size(0))];
    Parallel.rows(
        Parallel.Cost.through("norm: weight gradient", x),
        r.length,
        GRAIN,
        (from, to) -> {
          float[] row = new float[in.width()];
          for (int t = from; t < to; t++) {
            in.read(t, row);
            r[t] = inverseRms(row, eps);
          }
        });
    Columns.write(
        Parallel.Cost.through("norm: weight gradient", dy, x),
        dw,
        in.width(),
        (first, sums) -> {
          float[] column = new float[sums.length];
          float[] g = new float[sums.length];
          for (int t = 0; t < r.length; t++) {
            in.read(t, first, column, sums.length);
            gradient.read(t, first, g, sums.length);
            for (int i = 0; i < sums.length; i++) {
              sums[i] += g[i] * column[i] * r[t];
            }
          }
        });
  }

  private static float[] values(Tensor weight, float offset) {
    if (weight.rank() != 1 || weight.dtype() != DType.FLOAT32) {
      throw new IllegalArgumentException("a norm's weight is a float32 vector, not " + weight);
    }
    float[] values = weight.toFloats();
    for (int i = 0; i < values.length; i++) {
      values[i] += offset;
    }
    return values;
  }

  private static float inverseRms(float[] row, double eps) {
    return (float)
        (1 / Math.sqrt((double) VectorMath.dot(row, 0, row, 0, row.length) / row.length + eps));
  }

  private static void checkWidth(Rows rows, float[] weight, Tensor tensor) {
    if (rows.width() != weight.length) {
      throw new IllegalArgumentException(
          "a norm over %d elements of rows of %s".formatted(weight.length, tensor));
    }
  }
}
