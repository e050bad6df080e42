package org.ftcluster.worker.bench;

import java.util.ArrayList;
import java.util.List;
import java.util.function.BiConsumer;
import java.util.function.Function;
import org.ftcluster.worker.bench.KernelCases.Case;
import org.ftcluster.worker.bench.KernelCases.Shape;
import org.ftcluster.worker.bench.KernelCases.Size;
import org.ftcluster.worker.tensor.Tensor;
import org.ftcluster.worker.tensor.kernel.Elements;
import org.ftcluster.worker.tensor.kernel.GatedUnit;
import org.ftcluster.worker.tensor.kernel.RmsNorm;

/** What Gemma's layers ask of kernels that others don't. */
final class GemmaCases {
  private static final double EPS = 1e-6;

  /** Small enough to bend the numbers that cases draw. */
  private static final float CAP = 1.5f;

  private final List<Case> cases = new ArrayList<>();

  private GemmaCases() {}

  static List<Case> all() {
    GemmaCases all = new GemmaCases();
    all.elementWise();
    all.attention();
    return all.cases;
  }

  private void elementWise() {
    for (boolean odd : new boolean[] {false, true}) {
      String suffix = odd ? " of odd rows" : "";
      Function<Size, List<Shape>> shapes =
          size -> {
            int width = odd ? size.odd() : size.hidden();
            Shape matrix = Shape.of(size.tokens(), width);
            return List.of(matrix, matrix, matrix, matrix, Shape.floats(width));
          };
      add(
          "norm with an offset" + suffix,
          shapes,
          (t, s) -> RmsNorm.forward(t.get(0), t.get(1), t.get(4), 1, EPS));
      add(
          "norm with an offset, backward" + suffix,
          shapes,
          (t, s) -> RmsNorm.backward(t.get(0), t.get(1), t.get(2), t.get(4), 1, EPS));
      add(
          "GeGLU" + suffix,
          shapes,
          (t, s) -> GatedUnit.GEGLU.forward(t.get(0), t.get(1), t.get(2)));
      add(
          "GeGLU backward" + suffix,
          shapes,
          (t, s) -> GatedUnit.GEGLU.backward(t.get(0), t.get(1), t.get(2), t.get(3)));
      add("scale" + suffix, shapes, (t, s) -> Elements.scale(t.get(0), 33.9));
      add("cap" + suffix, shapes, (t, s) -> Elements.cap(t.get(0), CAP));
      add("cap backward" + suffix, shapes, (t, s) -> Elements.capBackward(t.get(0), t.get(1), CAP));
    }
  }

  private void attention() {
    add(
        "attention of capped scores",
        AttentionCase::shapes,
        (t, s) -> AttentionCase.forward(t, s, 0, CAP));
    add(
        "attention of capped scores, backward",
        AttentionCase::shapes,
        (t, s) -> AttentionCase.backward(t, s, 40, CAP));
    add(
        "attention of capped scores to a cache",
        AttentionCase::ofCache,
        (t, s) -> AttentionCase.cached(t, s, 0, CAP));
  }

  private void add(
      String name, Function<Size, List<Shape>> shapes, BiConsumer<List<Tensor>, Size> operation) {
    cases.add(
        new Case(
            name,
            false,
            "",
            shapes,
            (tensors, size) -> {
              operation.accept(tensors, size);
              return new float[0];
            }));
  }
}
