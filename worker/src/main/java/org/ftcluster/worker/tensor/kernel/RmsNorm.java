package org.ftcluster.worker.tensor.kernel;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Tensor;

/**
 * Root-mean-square norm of rows (arXiv:1910.07467): {@code y = w x r} with {@code r = 1 /
 * sqrt(mean(x²) + eps)}.
 *
 * <p>Backward, with {@code g = w dy} and {@code n = x r}: {@code dx = r (g - n mean(g n))}. The
 * weight is frozen.
 */
public final class RmsNorm {
  private static final int GRAIN = 64;

  private RmsNorm() {}

  /**
   * @param y [T, D] out; may be {@code x}
   * @param x [T, D]
   * @param weight float32 [D]
   */
  public static void forward(Tensor y, Tensor x, float[] weight, double eps) {
    Rows in = Rows.of(x);
    Rows out = Rows.of(y);
    checkWidth(in, weight, x);
    checkWidth(out, weight, y);
    Parallel.rows(
        x.size(0),
        GRAIN,
        (from, to) -> {
          float[] row = new float[in.width()];
          for (int t = from; t < to; t++) {
            in.read(t, row);
            float r = inverseRms(row, eps);
            for (int i = 0; i < row.length; i++) {
              row[i] = row[i] * r * weight[i];
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
  public static void backward(Tensor dx, Tensor dy, Tensor x, float[] weight, double eps) {
    Rows in = Rows.of(x);
    Rows gradient = Rows.of(dy);
    Rows sum = Rows.of(dx);
    checkWidth(in, weight, x);
    checkWidth(gradient, weight, dy);
    checkWidth(sum, weight, dx);
    Parallel.rows(
        x.size(0),
        GRAIN,
        (from, to) -> {
          float[] row = new float[weight.length];
          float[] g = new float[weight.length];
          float[] acc = new float[weight.length];
          for (int t = from; t < to; t++) {
            in.read(t, row);
            gradient.read(t, g);
            sum.read(t, acc);
            float r = inverseRms(row, eps);
            for (int i = 0; i < g.length; i++) {
              g[i] *= weight[i];
            }
            float projection = VectorMath.dot(g, 0, row, 0, row.length) * r * r * r / row.length;
            for (int i = 0; i < g.length; i++) {
              acc[i] += r * g[i] - projection * row[i];
            }
            sum.write(t, acc);
          }
        });
  }

  /** The norm's weight as the kernels take it. */
  public static float[] weight(Tensor weight) {
    float[] values = new float[Math.toIntExact(weight.elements())];
    MemorySegment memory = weight.memory();
    DType dtype = weight.dtype();
    if (dtype == DType.FLOAT32) {
      MemorySegment.copy(memory, ValueLayout.JAVA_FLOAT_UNALIGNED, 0, values, 0, values.length);
    } else {
      Rows.read(memory, dtype, 0, values, values.length);
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
