package org.ftcluster.worker.tensor.kernel;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.lang.foreign.ValueLayout;
import java.util.Random;
import org.ftcluster.worker.tensor.Aten;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.DryRun;
import org.ftcluster.worker.tensor.Parallel;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;
import org.ftcluster.worker.tensor.Workspace;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Products of bfloat16 against libtorch's of the same numbers in float32. Of T tokens, N inputs or
 * outputs and R ranks; some have no form for the fast ways, and come out the same.
 */
class SmallProductsTest {
  /** Half a step of bfloat16. */
  private static final float ROUNDED = 1 / 256f;

  /** Sums in another order. */
  private static final float EXACT = 1e-5f;

  private final Random random = new Random(5);
  private final Workspace workspace = new Workspace(1 << 28);
  private final Scope scope = workspace.open();

  @BeforeEach
  void given() {
    Aten.initialize();
  }

  @AfterEach
  void close() {
    Parallel.setThreads(1);
    scope.close();
    workspace.close();
  }

  @ParameterizedTest
  @CsvSource({"64, 64, 16", "1100, 96, 16", "300, 500, 6", "129, 34, 3", "70, 33, 8", "5, 64, 1"})
  void narrowsToARank(int t, int n, int r) {
    Tensor x = matrix(t, n);
    Tensor out = matrix(t, r);
    check(out, x, matrix(r, n).transpose(), 1, false, ROUNDED);
    check(out, x, matrix(n, r), 0.3, false, ROUNDED);
  }

  @ParameterizedTest
  @CsvSource({"64, 64, 16", "300, 500, 48", "65, 4200, 6", "70, 33, 8", "70, 64, 3", "5, 64, 2"})
  void widensFromARankOntoWhatIsThere(int t, int n, int r) {
    Tensor z = matrix(t, r);
    Tensor out = matrix(t, n);
    check(out, z, matrix(n, r).transpose(), 0.3, true, ROUNDED);
    check(out, z, matrix(r, n), 1, true, ROUNDED);
    check(out, z, matrix(r, n), 1, false, ROUNDED);
  }

  @ParameterizedTest
  @CsvSource({
    "64, 64, 16",
    "2048, 96, 16",
    "300, 500, 48",
    "700, 4500, 8",
    "1000, 700, 16",
    "130, 33, 3",
    "71, 64, 8",
    "6, 64, 1"
  })
  void gradientsAreNotRounded(int t, int n, int r) {
    Tensor x = matrix(t, n);
    Tensor z = matrix(t, r);
    // Where libtorch multiplies, its products are bfloat16.
    float tolerance = t % 2 == 0 && t >= 64 && isFast() ? EXACT : ROUNDED;
    check(floats(r, n), z.transpose(), x, 1, false, tolerance);
    check(floats(n, r), x.transpose(), z, 0.3, false, tolerance);
    check(floats(r, n), z.transpose(), x, 1, true, tolerance);
    check(floats(n, r), x.transpose(), z, 1, true, tolerance);
  }

  @ParameterizedTest
  @CsvSource({
    "256, 1000, 96",
    "7, 514, 1100",
    "512, 322, 70",
    "33, 801, 64",
    "600, 300, 40",
    "1030, 70, 64"
  })
  void fewRowsTimesAVocabulary(int rows, int vocabulary, int n) {
    check(matrix(rows, n), matrix(rows, vocabulary), matrix(vocabulary, n), 1, false, ROUNDED);
  }

  @ParameterizedTest
  @CsvSource({"200, 100, 8", "300, 37, 4"})
  void takesSlicesOfMatrices(int t, int n, int r) {
    Tensor x = matrix(t, 3 * n).slice(1, n, 2 * n);
    Tensor z = matrix(t, 3 * r).slice(1, r, 2 * r);
    Tensor a = matrix(r, 2 * n).slice(1, 1, n + 1);
    Tensor b = matrix(n, 2 * r).slice(1, 1, r + 1);
    check(z, x, a.transpose(), 1, false, ROUNDED);
    check(z, x, b, 1, false, ROUNDED);
    check(x, z, b.transpose(), 1, true, ROUNDED);
    check(x, z, a, 1, true, ROUNDED);
    check(floats(r, 2 * n).slice(1, n, 2 * n), z.transpose(), x, 1, false, ROUNDED);
    check(floats(n, 2 * r).slice(1, r, 2 * r), x.transpose(), z, 1, false, ROUNDED);
  }

  @ParameterizedTest
  @CsvSource({"2048, 96, 16", "2048, 16, 96", "16, 2048, 96", "96, 2048, 16", "256, 3000, 400"})
  void aDryRunTakesTheSameMemory(int m, int k, int n) {
    long taken = peak(m, k, n);
    assertEquals(taken, DryRun.of(() -> peak(m, k, n)));
  }

  @Test
  void refusesFactorsThatDoNotFit() {
    Tensor out = matrix(64, 16);
    Tensor a = matrix(64, 80);
    Tensor b = matrix(64, 16);
    assertThrows(
        IllegalArgumentException.class, () -> SmallProducts.multiply(workspace, out, a, b, 1));
  }

  private static long peak(int m, int k, int n) {
    try (Workspace workspace = new Workspace(1 << 26);
        Scope scope = workspace.open()) {
      Tensor out = scope.empty(DType.BFLOAT16, m, n);
      Tensor a = scope.empty(DType.BFLOAT16, m, k);
      Tensor b = scope.empty(DType.BFLOAT16, k, n);
      SmallProducts.multiply(workspace, out, a, b, 1);
      return workspace.peakBytes();
    }
  }

  /** The product by one thread and by three, which must agree in every bit. */
  private void check(Tensor out, Tensor a, Tensor b, double scale, boolean add, float tolerance) {
    Tensor before = widened(out);
    Tensor expected = widened(out);
    Aten.addmm(expected, widened(a), widened(b), add ? 1 : 0, scale);
    float[] byOne = product(1, out, before, a, b, scale, add);
    assertArrayEquals(byOne, product(3, out, before, a, b, scale, add), "by three threads");

    float[] numbers = expected.toFloats();
    float[] start = before.toFloats();
    double squares = 0;
    for (float number : numbers) {
      squares += number * number;
    }
    // Terms cancel in some sums, whose error is that of the terms.
    float terms = (float) Math.sqrt(squares / numbers.length);
    for (int i = 0; i < numbers.length; i++) {
      float size = Math.abs(numbers[i]) + (add ? Math.abs(start[i]) : 0);
      float bound = tolerance * size + EXACT * terms;
      int at = i;
      assertEquals(numbers[i], byOne[i], bound, () -> "%s, element %d".formatted(out, at));
    }
  }

  private float[] product(
      int threads, Tensor out, Tensor before, Tensor a, Tensor b, double scale, boolean add) {
    Parallel.setThreads(threads);
    Aten.copy(out, before);
    if (add) {
      SmallProducts.add(workspace, out, a, b, scale);
    } else {
      SmallProducts.multiply(workspace, out, a, b, scale);
    }
    return widened(out).toFloats();
  }

  private static boolean isFast() {
    return BlockedAttention.Products.of(DType.BFLOAT16) == BlockedAttention.Products.BFLOAT16;
  }

  private Tensor widened(Tensor matrix) {
    Tensor widened = scope.empty(DType.FLOAT32, matrix.shape());
    Aten.copy(widened, matrix);
    return widened;
  }

  private Tensor matrix(long... shape) {
    Tensor matrix = scope.empty(DType.BFLOAT16, shape);
    Aten.copy(matrix, floats(shape));
    return matrix;
  }

  private Tensor floats(long... shape) {
    Tensor tensor = scope.empty(DType.FLOAT32, shape);
    for (long i = 0; i < tensor.elements(); i++) {
      tensor.memory().setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) random.nextGaussian());
    }
    return tensor;
  }
}
