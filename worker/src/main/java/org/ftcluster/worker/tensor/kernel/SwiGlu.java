package org.ftcluster.worker.tensor.kernel;

import jdk.incubator.vector.FloatVector;
import org.ftcluster.worker.tensor.Parallel;
import org.ftcluster.worker.tensor.Tensor;

/**
 * The gated activation of Llama's feed-forward (arXiv:2002.05202): {@code y = silu(gate) up},
 * {@code silu(g) = g σ(g)}.
 *
 * <p>Backward: {@code dup = dy silu(g)}, {@code dgate = dy up (σ + g σ (1 - σ))}.
 */
public final class SwiGlu {
  private static final int GRAIN = 16;

  /** Elements handled at once, so that the scratch stays in the first-level cache. */
  private static final int BLOCK = 1024;

  private SwiGlu() {}

  /** All tensors are [T, F]; {@code y} is written. */
  public static void forward(Tensor y, Tensor gate, Tensor up) {
    if (y.isOnDevice()) {
      DeviceSwiGlu.forward(y, gate, up);
      return;
    }
    Rows outRows = rows(y, gate);
    Rows gateRows = rows(gate, gate);
    Rows upRows = rows(up, gate);
    Parallel.rows(
        Parallel.Cost.through("SwiGLU", y, gate, up),
        gate.size(0),
        GRAIN,
        (from, to) -> {
          float[] g = new float[BLOCK];
          float[] u = new float[BLOCK];
          for (int t = from; t < to; t++) {
            for (int column = 0; column < gateRows.width(); column += BLOCK) {
              int count = Math.min(BLOCK, gateRows.width() - column);
              gateRows.read(t, column, g, count);
              upRows.read(t, column, u, count);
              activate(g, u, count);
              outRows.write(t, column, g, count);
            }
          }
        });
  }

  /**
   * Turns {@code gate} into {@code dgate} and {@code up} into {@code dup}, and leaves the
   * activation itself in {@code y}, which the weight gradient of the next product needs. All
   * tensors are [T, F].
   */
  public static void backward(Tensor y, Tensor gate, Tensor up, Tensor dy) {
    if (y.isOnDevice()) {
      DeviceSwiGlu.backward(y, gate, up, dy);
      return;
    }
    Rows outRows = rows(y, gate);
    Rows gateRows = rows(gate, gate);
    Rows upRows = rows(up, gate);
    Rows gradientRows = rows(dy, gate);
    Parallel.rows(
        Parallel.Cost.through("SwiGLU backward", y, gate, up, gate, up, dy),
        gate.size(0),
        GRAIN,
        (from, to) -> {
          float[] g = new float[BLOCK];
          float[] u = new float[BLOCK];
          float[] d = new float[BLOCK];
          float[] a = new float[BLOCK];
          for (int t = from; t < to; t++) {
            for (int column = 0; column < gateRows.width(); column += BLOCK) {
              int count = Math.min(BLOCK, gateRows.width() - column);
              gateRows.read(t, column, g, count);
              upRows.read(t, column, u, count);
              gradientRows.read(t, column, d, count);
              differentiate(g, u, d, a, count);
              outRows.write(t, column, a, count);
              gateRows.write(t, column, g, count);
              upRows.write(t, column, u, count);
            }
          }
        });
  }

  private static void activate(float[] g, float[] u, int count) {
    int i = 0;
    for (int end = Rows.FLOATS.loopBound(count); i < end; i += Rows.FLOATS.length()) {
      FloatVector x = FloatVector.fromArray(Rows.FLOATS, g, i);
      x.mul(VectorMath.sigmoid(x)).mul(FloatVector.fromArray(Rows.FLOATS, u, i)).intoArray(g, i);
    }
    for (; i < count; i++) {
      g[i] = g[i] * VectorMath.sigmoid(g[i]) * u[i];
    }
  }

  private static void differentiate(float[] g, float[] u, float[] d, float[] a, int count) {
    int i = 0;
    for (int end = Rows.FLOATS.loopBound(count); i < end; i += Rows.FLOATS.length()) {
      FloatVector x = FloatVector.fromArray(Rows.FLOATS, g, i);
      FloatVector up = FloatVector.fromArray(Rows.FLOATS, u, i);
      FloatVector dy = FloatVector.fromArray(Rows.FLOATS, d, i);
      FloatVector s = VectorMath.sigmoid(x);
      FloatVector silu = x.mul(s);
      silu.mul(up).intoArray(a, i);
      dy.mul(silu).intoArray(u, i);
      // σ + g σ (1 - σ) = σ + silu - silu σ
      dy.mul(up).mul(s.add(silu).sub(silu.mul(s))).intoArray(g, i);
    }
    for (; i < count; i++) {
      float s = VectorMath.sigmoid(g[i]);
      float silu = g[i] * s;
      float up = u[i];
      a[i] = silu * up;
      u[i] = d[i] * silu;
      g[i] = d[i] * up * (s + silu - silu * s);
    }
  }

  private static Rows rows(Tensor tensor, Tensor like) {
    if (tensor.size(0) != like.size(0) || tensor.size(1) != like.size(1)) {
      throw new IllegalArgumentException(
          "SwiGLU takes tensors of one shape, not %s and %s".formatted(tensor, like));
    }
    return Rows.of(tensor);
  }
}
