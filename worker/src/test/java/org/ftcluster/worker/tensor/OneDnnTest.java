package org.ftcluster.worker.tensor;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.lang.foreign.ValueLayout;
import java.util.Random;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Against products in float32 of the same numbers. */
class OneDnnTest {
  /** Of bfloat16, whose last bit is a 256th. */
  private static final float ROUNDING = 1f / 128;

  private final Random random = new Random(7);

  @BeforeAll
  static void load() {
    Aten.initialize();
    assumeTrue(OneDnn.isAvailable(), "this processor has no AMX, or it is not to be used");
  }

  @ParameterizedTest
  @CsvSource({"256, 512, 96", "100, 333, 77", "16, 9000, 16", "513, 256, 64"})
  void multipliesWhateverIsTransposed(int m, int k, int n) {
    try (Scope scope = Scope.persistent()) {
      for (int transposed = 0; transposed < 4; transposed++) {
        Tensor a = matrix(scope, m, k, (transposed & 1) > 0);
        Tensor b = matrix(scope, k, n, (transposed & 2) > 0);
        check(scope, matrix(scope, m, n, false), a, b, false);
        check(scope, matrix(scope, m, n, false), a, b, true);
      }
    }
  }

  @Test
  void partsOfMatricesAreLeftAndRightOfOthers() {
    try (Scope scope = Scope.persistent()) {
      Tensor wide = matrix(scope, 300, 400, false);
      Tensor out = wide.slice(1, 17, 217);
      Tensor a = matrix(scope, 300, 900, false).slice(1, 3, 603);
      Tensor b = matrix(scope, 600, 500, false).slice(1, 5, 205);
      float[] left = floats(scope, wide.slice(1, 0, 17)).toFloats();
      float[] right = floats(scope, wide.slice(1, 217, 400)).toFloats();
      check(scope, out, a, b, true);
      assertArrayEquals(left, floats(scope, wide.slice(1, 0, 17)).toFloats());
      assertArrayEquals(right, floats(scope, wide.slice(1, 217, 400)).toFloats());
    }
  }

  @Test
  void shapesWithoutEndAreMultipliedAllTheSame() {
    try (Scope scope = Scope.persistent()) {
      Tensor a = matrix(scope, 600, 4096, false);
      Tensor b = matrix(scope, 4096, 32, false);
      Tensor out = matrix(scope, 600, 32, false);
      for (int rows = 100; rows < 400; rows++) {
        OneDnn.multiply(out.slice(0, 0, rows), a.slice(0, 0, rows), b, false);
      }
      check(scope, out.slice(0, 0, 100), a.slice(0, 0, 100), b, false);
    }
  }

  @Test
  void leavesToLibtorchWhatItIsNotFor() {
    try (Scope scope = Scope.persistent()) {
      Tensor a = matrix(scope, 256, 512, false);
      Tensor b = matrix(scope, 512, 96, false);
      assertTrue(OneDnn.takes(matrix(scope, 256, 96, false), a, b));
      assertFalse(OneDnn.takes(matrix(scope, 256, 96, true), a, b));
      assertFalse(OneDnn.takes(scope.zeros(DType.FLOAT32, 256, 96), a, b));
      Tensor sameRow = a.strided(new long[] {256, 512}, new long[] {0, 1}, 0);
      assertFalse(OneDnn.takes(matrix(scope, 256, 96, false), sameRow, b));
      Tensor few = matrix(scope, 1, 512, false);
      assertFalse(OneDnn.takes(matrix(scope, 1, 96, false), few, b));
    }
  }

  private static void check(Scope scope, Tensor out, Tensor a, Tensor b, boolean add) {
    Tensor expected = floats(scope, out);
    Aten.addmm(expected, floats(scope, a), floats(scope, b), add ? 1 : 0, 1);
    assertTrue(OneDnn.takes(out, a, b));
    OneDnn.multiply(out, a, b, add);
    float[] wanted = expected.toFloats();
    float[] got = floats(scope, out).toFloats();
    double tolerance = ROUNDING * Math.sqrt(a.size(1));
    for (int i = 0; i < wanted.length; i++) {
      assertEquals(wanted[i], got[i], tolerance, "element " + i + " of " + out);
    }
  }

  private static Tensor floats(Scope scope, Tensor half) {
    Tensor floats = scope.empty(DType.FLOAT32, half.shape());
    Aten.copy(floats, half);
    return floats;
  }

  private Tensor matrix(Scope scope, int rows, int columns, boolean transposed) {
    Tensor floats =
        transposed
            ? scope.empty(DType.FLOAT32, columns, rows)
            : scope.empty(DType.FLOAT32, rows, columns);
    for (long i = 0; i < floats.elements(); i++) {
      floats.memory().setAtIndex(ValueLayout.JAVA_FLOAT, i, random.nextFloat(-1, 1));
    }
    Tensor half = scope.empty(DType.BFLOAT16, floats.shape());
    Aten.copy(half, floats);
    return transposed ? half.transpose() : half;
  }
}
