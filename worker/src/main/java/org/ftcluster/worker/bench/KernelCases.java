package org.ftcluster.worker.bench;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.BiFunction;
import java.util.function.Function;
import java.util.stream.IntStream;
import org.ftcluster.worker.quantization.Int8Weight;
import org.ftcluster.worker.quantization.Nf4Weight;
import org.ftcluster.worker.quantization.Weight;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;
import org.ftcluster.worker.tensor.kernel.CrossEntropy;
import org.ftcluster.worker.tensor.kernel.Dropout;
import org.ftcluster.worker.tensor.kernel.GatedUnit;
import org.ftcluster.worker.tensor.kernel.RmsNorm;
import org.ftcluster.worker.tensor.kernel.RowOps;
import org.ftcluster.worker.tensor.kernel.SlicedCrossEntropy;
import org.jspecify.annotations.Nullable;

/** What {@link KernelCheck} runs: each once over tensors of the host's, once over a device's. */
final class KernelCases {
  private static final double EPS = 1e-5;
  private static final double SCALE = 1.0 / 64;
  private static final long SEED = 99;

  private final List<Case> cases = new ArrayList<>();

  private KernelCases() {}

  /**
   * How large the tensors are.
   *
   * @param tokens rows
   * @param hidden elements of a row, a multiple of 64
   * @param odd as many, but no multiple of 8
   * @param vocabulary logits of a row
   * @param sequences lengths of those that attention sees
   */
  record Size(
      int tokens,
      int hidden,
      int odd,
      int vocabulary,
      int heads,
      int group,
      int headSize,
      int[] sequences) {
    /** For checks alone. */
    static final Size SMALL = new Size(37, 2112, 101, 1000, 4, 2, 32, new int[] {1, 300, 70});

    /** More than a GPU's caches hold. */
    static final Size LARGE =
        new Size(16384, 4096, 4099, 32000, 32, 4, 128, new int[] {512, 200, 300});
  }

  /**
   * A tensor that a case takes.
   *
   * @param type null for the case's
   */
  record Shape(@Nullable DType type, long... size) {
    DType typeOr(DType other) {
      return type == null ? other : type;
    }

    static Shape of(long... size) {
      return new Shape(null, size);
    }

    static Shape floats(long... size) {
      return new Shape(DType.FLOAT32, size);
    }

    static Shape halves(long... size) {
      return new Shape(DType.BFLOAT16, size);
    }
  }

  /** What is done with a case's tensors; gives what it leaves beside them. */
  @FunctionalInterface
  interface Operation {
    float[] run(List<Tensor> tensors, Size size);
  }

  /** The same where nothing is left beside them. */
  @FunctionalInterface
  private interface InPlace {
    void run(List<Tensor> tensors, Size size);
  }

  /**
   * @param isExact whether the same bits must come out
   * @param measured what the names of a profile's operations begin with
   */
  record Case(
      String name,
      boolean isExact,
      String measured,
      Function<Size, List<Shape>> tensors,
      Operation operation) {}

  static List<Case> all() {
    KernelCases all = new KernelCases();
    all.nf4Weights();
    all.norms("", size -> Shape.of(size.tokens, size.hidden));
    all.norms(" of odd rows", size -> Shape.of(size.tokens, size.odd));
    all.elementWise();
    all.losses();
    all.rows();
    all.attention();
    all.cachedAttention();
    all.slicedLosses();
    all.headNorms();
    all.cases.addAll(OptimizerCase.all());
    all.int8Weights();
    all.partsOfHeads();
    all.cases.addAll(GemmaCases.all());
    return all.cases;
  }

  private void close(String name, Function<Size, List<Shape>> tensors, InPlace operation) {
    cases.add(new Case(name, false, "", tensors, leavingNothing(operation)));
  }

  private void exact(String name, Function<Size, List<Shape>> tensors, InPlace operation) {
    cases.add(new Case(name, true, "", tensors, leavingNothing(operation)));
  }

  private static Operation leavingNothing(InPlace operation) {
    return (tensors, size) -> {
      operation.run(tensors, size);
      return new float[0];
    };
  }

  private void nf4Weights() {
    for (boolean doubleQuant : new boolean[] {true, false}) {
      expansion(
          "NF4 expansion",
          doubleQuant ? ", double" : "",
          (host, matrix) -> Nf4Weight.quantize(host, matrix, matrix.dtype(), doubleQuant));
    }
  }

  private void int8Weights() {
    expansion(
        "int8 expansion", "", (host, matrix) -> Int8Weight.quantize(host, matrix, matrix.dtype()));
  }

  private void expansion(String kernel, String suffix, BiFunction<Scope, Tensor, Weight> quantize) {
    for (boolean odd : new boolean[] {false, true}) {
      cases.add(
          new Case(
              kernel + suffix + (odd ? ", odd" : ""),
              true,
              kernel,
              size -> {
                long columns = odd ? size.odd : size.hidden;
                return List.of(Shape.of(size.hidden, columns), Shape.of(size.hidden, columns));
              },
              leavingNothing((t, size) -> expand(t.get(0), t.get(1), quantize))));
    }
  }

  /** Quantizes {@code matrix} on the host, and expands it where it is. */
  private static void expand(
      Tensor matrix, Tensor out, BiFunction<Scope, Tensor, Weight> quantize) {
    try (Scope host = Scope.persistent();
        Scope there = Scope.persistent(matrix.accelerator())) {
      Tensor readable = matrix;
      if (matrix.isOnDevice()) {
        readable = host.empty(matrix.dtype(), matrix.shape());
        readable.transferFrom(matrix);
      }
      Weight packed = quantize.apply(host, readable);
      Weight placed = matrix.isOnDevice() ? packed.onDevice(there) : packed;
      RowOps.copy(out, placed.expand(there));
    }
  }

  private void headNorms() {
    Function<Size, Shape> heads = s -> Shape.of((long) s.tokens * s.heads, s.headSize);
    norms(" of heads", heads);
    close(
        "norm in place",
        size -> List.of(heads.apply(size), Shape.floats(size.headSize)),
        (t, s) -> RmsNorm.forward(t.get(0), t.get(0), t.get(1), 0, EPS));
  }

  private void norms(String suffix, Function<Size, Shape> matrix) {
    Function<Size, List<Shape>> shapes =
        size -> {
          Shape x = matrix.apply(size);
          Shape vector = Shape.floats(x.size()[1]);
          return List.of(x, x, x, vector, vector);
        };
    close("norm" + suffix, shapes, (t, s) -> RmsNorm.forward(t.get(0), t.get(1), t.get(3), 0, EPS));
    close(
        "norm backward" + suffix,
        shapes,
        (t, s) -> RmsNorm.backward(t.get(0), t.get(1), t.get(2), t.get(3), 0, EPS));
    close(
        "norm's weight gradient" + suffix,
        shapes,
        (t, s) -> RmsNorm.weightGradient(t.get(4), t.get(0), t.get(1), EPS));
  }

  private void elementWise() {
    for (boolean odd : new boolean[] {false, true}) {
      String suffix = odd ? " of odd rows" : "";
      Function<Size, List<Shape>> shapes =
          size -> {
            Shape matrix = Shape.of(size.tokens, odd ? size.odd : size.hidden);
            return List.of(matrix, matrix, matrix, matrix);
          };
      close(
          "SwiGLU" + suffix,
          shapes,
          (t, s) -> GatedUnit.SWIGLU.forward(t.get(0), t.get(1), t.get(2)));
      close(
          "SwiGLU backward" + suffix,
          shapes,
          (t, s) -> GatedUnit.SWIGLU.backward(t.get(0), t.get(1), t.get(2), t.get(3)));
    }
    rotary("rotary, heads of 64", 64, 64, 1);
    rotary("rotary, heads of 12", 12, 12, 1);
  }

  private void partsOfHeads() {
    rotary("rotary, 48 of heads of 64", 64, 48, 1.25f);
    rotary("rotary, 16 of heads of 28", 28, 16, 0.75f);
  }

  private void rotary(String name, int head, int rotated, float magnitude) {
    for (int direction : new int[] {1, -1}) {
      close(
          name + (direction < 0 ? ", backward" : ""),
          size -> List.of(Shape.of(size.tokens, size.hidden / 64 * head)),
          (t, size) -> RotaryCase.run(t.get(0), head, rotated, magnitude, direction));
    }
  }

  private void losses() {
    for (boolean odd : new boolean[] {false, true}) {
      for (boolean backward : new boolean[] {false, true}) {
        cases.add(
            new Case(
                "cross-entropy%s%s"
                    .formatted(backward ? " and its gradient" : "", odd ? " of odd rows" : ""),
                false,
                "",
                size -> List.of(Shape.of(size.tokens, odd ? size.odd : size.vocabulary)),
                (t, size) -> losses(t.get(0), size, backward)));
      }
    }
  }

  private void slicedLosses() {
    for (boolean odd : new boolean[] {false, true}) {
      cases.add(
          new Case(
              "cross-entropy of a slice" + (odd ? " of odd rows" : ""),
              false,
              "",
              size -> List.of(Shape.of(size.tokens, odd ? size.odd : size.vocabulary)),
              (t, size) -> slicedLosses(t.get(0), size)));
    }
  }

  /** Of the second half of a vocabulary whose first is the same. */
  private static float[] slicedLosses(Tensor logits, Size size) {
    int start = 3;
    int width = Math.toIntExact(logits.size(1));
    int[] targets = targets(start + size.tokens, 2 * width);
    float[] own = SlicedCrossEntropy.statistics(logits, targets, start, width);
    float[] other = SlicedCrossEntropy.statistics(logits, targets, start, 0);
    float[] both = Arrays.copyOf(other, other.length + own.length);
    System.arraycopy(own, 0, both, other.length, own.length);
    SlicedCrossEntropy.Statistics all = SlicedCrossEntropy.combine(both, size.tokens);
    float[] losses = new float[targets.length];
    all.losses(targets, start, losses);
    SlicedCrossEntropy.gradient(logits, targets, start, width, all, SCALE);
    return losses;
  }

  private static int[] targets(int count, int vocabulary) {
    int[] targets = new int[count];
    for (int i = 0; i < targets.length; i++) {
      targets[i] = i % 5 == 4 ? -100 : (int) (i * 31L % vocabulary);
    }
    return targets;
  }

  private static float[] losses(Tensor logits, Size size, boolean backward) {
    int start = 3;
    int[] targets = targets(start + size.tokens, Math.toIntExact(logits.size(1)));
    float[] losses = new float[targets.length];
    if (backward) {
      CrossEntropy.forwardBackward(logits, targets, start, losses, SCALE);
    } else {
      CrossEntropy.forward(logits, targets, start, losses);
    }
    return losses;
  }

  private void rows() {
    for (boolean odd : new boolean[] {false, true}) {
      String suffix = odd ? " of odd rows" : "";
      Function<Size, List<Shape>> shapes =
          size -> {
            long width = odd ? size.odd : size.hidden;
            Shape matrix = Shape.of(size.tokens, width);
            return List.of(
                matrix,
                matrix,
                Shape.floats(size.tokens, width),
                Shape.halves(size.tokens, width),
                Shape.floats(width));
          };
      exact(
          "gather" + suffix,
          shapes,
          (t, s) -> RowOps.gather(t.get(0), t.get(3), rows(s.tokens, 13)));
      exact(
          "scatter" + suffix,
          shapes,
          (t, s) -> RowOps.scatterAdd(t.get(0), t.get(2), rows(s.tokens, 3)));
      exact("bias gradient" + suffix, shapes, (t, s) -> RowOps.sumRows(t.get(4), t.get(0)));
      exact("add" + suffix, shapes, (t, s) -> RowOps.add(t.get(0), t.get(1)));
      exact("add bfloat16" + suffix, shapes, (t, s) -> RowOps.add(t.get(2), t.get(3)));
      exact("fill" + suffix, shapes, (t, s) -> RowOps.fill(t.get(0), t.get(4)));
      exact("convert float32" + suffix, shapes, (t, s) -> RowOps.copy(t.get(0), t.get(2)));
      exact("convert bfloat16" + suffix, shapes, (t, s) -> RowOps.copy(t.get(0), t.get(3)));
      exact("dropout" + suffix, shapes, (t, s) -> Dropout.drop(t.get(0), t.get(1), mask(t.get(0))));
      exact(
          "dropout added" + suffix,
          shapes,
          (t, s) -> Dropout.add(t.get(0), t.get(1), mask(t.get(0))));
    }
  }

  private static Dropout.Mask mask(Tensor columns) {
    return new Dropout.Mask(0.3, SEED, 5, columns.size(1) + 9);
  }

  /** Some of them more than once. */
  private static int[] rows(int count, int step) {
    return IntStream.range(0, count).map(i -> i * step % Math.max(1, count - count / 4)).toArray();
  }

  private void attention() {
    Function<Size, List<Shape>> shapes = AttentionCase::shapes;
    for (int window : new int[] {0, 40}) {
      String suffix = window == 0 ? "" : " in a window";
      close("attention" + suffix, shapes, (t, s) -> AttentionCase.forward(t, s, window, 0));
      close(
          "attention backward" + suffix, shapes, (t, s) -> AttentionCase.backward(t, s, window, 0));
    }
  }

  private void cachedAttention() {
    for (int window : new int[] {0, 40}) {
      close(
          "attention to a cache" + (window == 0 ? "" : " in a window"),
          AttentionCase::ofCache,
          (t, s) -> AttentionCase.cached(t, s, window, 0));
    }
  }

  static int tokens(Size size) {
    return IntStream.of(size.sequences).sum();
  }

  static Shape queries(Size size, int tokens) {
    return Shape.of(tokens, (long) size.heads * size.headSize);
  }

  static Shape keys(Size size) {
    return Shape.of(tokens(size), (long) size.heads / size.group * size.headSize);
  }
}
