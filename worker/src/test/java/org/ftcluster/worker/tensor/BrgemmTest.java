package org.ftcluster.worker.tensor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.lang.foreign.MemorySegment;
import org.ftcluster.worker.tensor.Brgemm.Matrix;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class BrgemmTest {
  private static final int M = 5;
  private static final int N = 32;
  private static final int K = 6;

  private final short[] a = new short[M * K];
  private final int[] b = new int[K / 2 * N];
  private final float[] c = new float[M * N];

  @BeforeEach
  void given() {
    assumeTrue(Brgemm.isAvailable(), "this processor doesn't multiply bfloat16");
    Aten.initialize();
    for (int i = 0; i < a.length; i++) {
      a[i] = bfloat16(i % 7 - 3);
    }
    for (int pair = 0; pair < K / 2; pair++) {
      for (int n = 0; n < N; n++) {
        int second = bfloat16(second(pair, n)) << 16;
        b[pair * N + n] = bfloat16(first(pair, n)) & 0xFFFF | second;
      }
    }
  }

  @Test
  void multipliesByAMatrixWhoseRowsAreInPairs() {
    multiply(M, false);
    for (int m = 0; m < M; m++) {
      for (int n = 0; n < N; n++) {
        assertEquals(expected(m, n), c[m * N + n], "%d, %d".formatted(m, n));
      }
    }
  }

  @Test
  void addsToWhatIsThere() {
    multiply(M, false);
    multiply(M, true);
    assertEquals(2 * expected(3, 17), c[3 * N + 17]);
  }

  @Test
  void refusesWhatMemoryDoesNotHold() {
    assertThrows(IndexOutOfBoundsException.class, () -> multiply(M + 1, false));
  }

  private void multiply(int m, boolean add) {
    Brgemm.multiply(
        m,
        N,
        K,
        new Matrix(MemorySegment.ofArray(a), 0, K),
        new Matrix(MemorySegment.ofArray(b), 0, N),
        new Matrix(MemorySegment.ofArray(c), 0, N),
        add);
    Brgemm.release();
  }

  private static float expected(int m, int n) {
    float sum = 0;
    for (int pair = 0; pair < K / 2; pair++) {
      int at = m * K + 2 * pair;
      sum += (at % 7 - 3) * first(pair, n) + ((at + 1) % 7 - 3) * second(pair, n);
    }
    return sum;
  }

  private static float first(int pair, int n) {
    return pair + n % 5;
  }

  private static float second(int pair, int n) {
    return pair - n % 3;
  }

  /** Of small whole numbers, which bfloat16 holds exactly. */
  private static short bfloat16(float value) {
    return (short) (Float.floatToRawIntBits(value) >>> 16);
  }
}
