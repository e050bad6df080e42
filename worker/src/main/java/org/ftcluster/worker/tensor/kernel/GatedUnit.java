package org.ftcluster.worker.tensor.kernel;

import jdk.incubator.vector.FloatVector;
import org.ftcluster.worker.tensor.Parallel;
import org.ftcluster.worker.tensor.Tensor;

/**
 * The gated activation of a feed-forward (arXiv:2002.05202): {@code y = a(gate) up}, where {@code
 * a(g) = g σ(z(g))}.
 *
 * <p>Backward: {@code dup = dy a(g)}, {@code dgate = dy up (σ + g σ (1 - σ) z'(g))}.
 */
public enum GatedUnit {
  /** Llama's: z(g) = g. */
  SWIGLU("SwiGLU"),

  /**
   * Gemma's, with GELU's approximation by a tanh (arXiv:1606.08415), since {@code (1 + tanh(z / 2))
   * / 2 = σ(z)}: {@code z(g) = √(8/π) (g + 0.044715 g³)}.
   */
  GEGLU("GeGLU");

  private static final int GRAIN = 16;

  /** Elements handled at once, so that the scratch stays in the first-level cache. */
  private static final int BLOCK = 1024;

  private final String title;

  GatedUnit(String title) {
    this.title = title;
  }

  /** As it is called in papers. */
  String title() {
    return title;
  }

  /** All tensors are [T, F]; {@code y} is written. */
  public void forward(Tensor y, Tensor gate, Tensor up) {
    if (y.isOnDevice()) {
      DeviceGatedUnit.forward(this, y, gate, up);
      return;
    }
    Rows outRows = rows(y, gate);
    Rows gateRows = rows(gate, gate);
    Rows upRows = rows(up, gate);
    Parallel.rows(
        Parallel.Cost.through(title, y, gate, up),
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
  public void backward(Tensor y, Tensor gate, Tensor up, Tensor dy) {
    if (y.isOnDevice()) {
      DeviceGatedUnit.backward(this, y, gate, up, dy);
      return;
    }
    Rows outRows = rows(y, gate);
    Rows gateRows = rows(gate, gate);
    Rows upRows = rows(up, gate);
    Rows gradientRows = rows(dy, gate);
    Parallel.rows(
        Parallel.Cost.through(title + " backward", y, gate, up, gate, up, dy),
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

  private void activate(float[] g, float[] u, int count) {
    int i = 0;
    for (int end = Rows.FLOATS.loopBound(count); i < end; i += Rows.FLOATS.length()) {
      FloatVector x = FloatVector.fromArray(Rows.FLOATS, g, i);
      FloatVector z = this == GEGLU ? VectorMath.geluArgument(x) : x;
      x.mul(VectorMath.sigmoid(z)).mul(FloatVector.fromArray(Rows.FLOATS, u, i)).intoArray(g, i);
    }
    for (; i < count; i++) {
      float z = this == GEGLU ? VectorMath.geluArgument(g[i]) : g[i];
      g[i] = g[i] * VectorMath.sigmoid(z) * u[i];
    }
  }

  private void differentiate(float[] g, float[] u, float[] d, float[] a, int count) {
    int i = 0;
    for (int end = Rows.FLOATS.loopBound(count); i < end; i += Rows.FLOATS.length()) {
      FloatVector x = FloatVector.fromArray(Rows.FLOATS, g, i);
      FloatVector up = FloatVector.fromArray(Rows.FLOATS, u, i);
      FloatVector dy = FloatVector.fromArray(Rows.FLOATS, d, i);
      FloatVector s = VectorMath.sigmoid(this == GEGLU ? VectorMath.geluArgument(x) : x);
      FloatVector active = x.mul(s);
      active.mul(up).intoArray(a, i);
      dy.mul(active).intoArray(u, i);
      // σ + g σ (1 - σ) z' = σ + b - b σ
      FloatVector b = this == GEGLU ? active.mul(VectorMath.geluSlope(x)) : active;
      dy.mul(up).mul(s.add(b).sub(b.mul(s))).intoArray(g, i);
    }
    for (; i < count; i++) {
      float s = VectorMath.sigmoid(this == GEGLU ? VectorMath.geluArgument(g[i]) : g[i]);
      float active = g[i] * s;
      float up = u[i];
      a[i] = active * up;
      u[i] = d[i] * active;
      float b = this == GEGLU ? active * VectorMath.geluSlope(g[i]) : active;
      g[i] = d[i] * up * (s + b - b * s);
    }
  }

  private static Rows rows(Tensor tensor, Tensor like) {
    if (tensor.size(0) != like.size(0) || tensor.size(1) != like.size(1)) {
      throw new IllegalArgumentException(
          "a gated unit takes tensors of one shape, not %s and %s".formatted(tensor, like));
    }
    return Rows.of(tensor);
  }
}
