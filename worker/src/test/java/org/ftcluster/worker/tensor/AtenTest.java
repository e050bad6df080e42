package org.ftcluster.worker.tensor;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

class AtenTest {
  /** A step that leaked its smallest tensor's handle alone would show as more in a thousand. */
  private static final long LEAK_KILOBYTES = 16 << 10;

  @BeforeAll
  static void initialize() {
    Aten.initialize();
  }

  private static Tensor matrix(Scope scope, long rows, long columns, float... values) {
    Tensor tensor = scope.empty(DType.FLOAT32, rows, columns);
    tensor.memory().copyFrom(MemorySegment.ofArray(values));
    return tensor;
  }

  @Test
  void productsTakeTransposedAndAccumulate() {
    try (Scope scope = Scope.persistent()) {
      Tensor a = matrix(scope, 2, 3, 1, 2, 3, 4, 5, 6);
      Tensor b = matrix(scope, 2, 3, 1, 0, 1, 0, 1, 0);
      Tensor out = scope.zeros(DType.FLOAT32, 2, 2);

      Aten.mm(out, a, b.transpose());
      assertArrayEquals(new float[] {4, 2, 10, 5}, out.toFloats());

      Aten.addmm(out, a, b.transpose(), 1, 10);
      assertArrayEquals(new float[] {44, 22, 110, 55}, out.toFloats());
    }
  }

  /** Many terms a sum, which MKL deals to threads where it may take several. */
  @Test
  void aProductHasTheSameBitsOnEveryThread() throws Exception {
    Random random = new Random(7);
    float[] a = random(random, 64 * 1024);
    float[] b = random(random, 1024 * 64);
    FutureTask<float[]> elsewhere = new FutureTask<>(() -> product(a, b));
    Thread.ofPlatform().start(elsewhere);

    assertArrayEquals(product(a, b), elsewhere.get(30, TimeUnit.SECONDS));
  }

  /** Cut by rows, by columns, into parts of different sizes, and of a transposed factor. */
  @Test
  void aProductInPartsIsTheWholeOne() {
    Random random = new Random(11);
    for (int[] sizes : new int[][] {{2001, 40, 300}, {33, 70, 2003}, {17, 900, 500}}) {
      int m = sizes[0];
      int k = sizes[1];
      int n = sizes[2];
      float[] a = random(random, m * k);
      float[] b = random(random, n * k);
      try (Scope scope = Scope.persistent()) {
        Tensor left = matrix(scope, m, k, a);
        Tensor right = matrix(scope, n, k, b).transpose();
        Tensor whole = scope.empty(DType.FLOAT32, m, n);
        Tensor parts = scope.empty(DType.FLOAT32, m, n);
        Aten.mm(whole, left, right);
        Parallel.setThreads(3);
        Aten.mm(parts, left, right);
        assertArrayEquals(whole.toFloats(), parts.toFloats(), 1e-3f);
        Aten.addmm(parts, left, right, 1, 2);
        Parallel.setThreads(1);
        Aten.addmm(whole, left, right, 1, 2);
        assertArrayEquals(whole.toFloats(), parts.toFloats(), 3e-3f);
      } finally {
        Parallel.setThreads(1);
      }
    }
  }

  /** As the head's: few rows, many columns, added to what is there. */
  @Test
  void aProductOfBfloat16InPartsIsTheWholeOne() {
    Random random = new Random(13);
    try (Scope scope = Scope.persistent()) {
      Tensor left = half(scope, matrix(scope, 64, 96, random(random, 64 * 96)));
      Tensor right = half(scope, matrix(scope, 96, 1100, random(random, 96 * 1100)));
      Tensor before = matrix(scope, 64, 1100, random(random, 64 * 1100));
      Tensor whole = half(scope, before);
      Tensor parts = half(scope, before);
      Aten.addmm(whole, left, right, 1, 0.5);
      Parallel.setThreads(3);
      Aten.addmm(parts, left, right, 1, 0.5);
      // Of sums up to 30: one step of bfloat16.
      assertArrayEquals(whole.toFloats(), parts.toFloats(), 0.13f);
    } finally {
      Parallel.setThreads(1);
    }
  }

  /** Weights stay as long as a model does, and are multiplied in every step. */
  @Test
  void aProductInPartsLeavesNothingWithItsFactors() {
    try (Scope scope = Scope.persistent()) {
      Tensor left = scope.zeros(DType.FLOAT32, 64, 96);
      Tensor right = scope.zeros(DType.FLOAT32, 96, 1100);
      Tensor out = scope.zeros(DType.FLOAT32, 64, 1100);
      Parallel.setThreads(2);
      Aten.mm(out, left, right);
      int handles = scope.handles();
      for (int turn = 0; turn < 10; turn++) {
        Aten.mm(out, left, right);
      }
      assertEquals(handles, scope.handles());
    } finally {
      Parallel.setThreads(1);
    }
  }

  private static Tensor half(Scope scope, Tensor values) {
    Tensor half = scope.empty(DType.BFLOAT16, values.shape());
    Aten.copy(half, values);
    return half;
  }

  private static float[] random(Random random, int count) {
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return values;
  }

  private static float[] product(float[] a, float[] b) {
    try (Scope scope = Scope.persistent()) {
      Tensor out = scope.empty(DType.FLOAT32, 64, 64);
      Aten.mm(out, matrix(scope, 64, 1024, a), matrix(scope, 1024, 64, b));
      return out.toFloats();
    }
  }

  @Test
  void copyRoundsToBfloat16AndBack() {
    try (Scope scope = Scope.persistent()) {
      Tensor x = matrix(scope, 1, 4, 1.00390625f, 1.01171875f, -3, 1e30f);
      Tensor half = scope.empty(DType.BFLOAT16, 1, 4);

      Aten.copy(half, x);

      // Ties go to even: 1 + 2^-8 down to 1, 1 + 3 * 2^-8 up to 1 + 4 * 2^-8.
      float[] rounded = half.toFloats();
      assertEquals(1f, rounded[0]);
      assertEquals(1.015625f, rounded[1]);
      assertEquals(-3f, rounded[2]);
    }
  }

  @Test
  void shapesAndTypesThatDoNotFitAreRefusedBeforeTheCall() {
    try (Scope scope = Scope.persistent()) {
      Tensor a = scope.zeros(DType.FLOAT32, 2, 3);
      Tensor out = scope.zeros(DType.FLOAT32, 2, 2);
      Tensor half = scope.zeros(DType.BFLOAT16, 3, 2);

      assertThrows(IllegalArgumentException.class, () -> Aten.mm(out, a, a));
      assertThrows(IllegalArgumentException.class, () -> Aten.mm(out, a, half));
      assertThrows(IllegalArgumentException.class, () -> Aten.copy(out, a));
      assertThrows(
          IllegalArgumentException.class, () -> a.strided(new long[] {3, 3}, new long[] {3, 1}, 0));
      assertThrows(IllegalArgumentException.class, () -> a.slice(0, 1, 3));
    }
  }

  @Test
  void anExceptionInLibtorchBecomesOursWithItsText() {
    try (Scope scope = Scope.persistent()) {
      Tensor a = scope.zeros(DType.FLOAT32, 2, 3);
      Tensor b = scope.zeros(DType.FLOAT32, 2, 3);
      Tensor out = scope.zeros(DType.FLOAT32, 2, 2);
      MemorySegment o = out.handle();
      MemorySegment x = a.handle();
      MemorySegment y = b.handle();

      NativeException e =
          assertThrows(
              NativeException.class,
              () -> LibTorch.check("mm", () -> (int) LibTorch.MM_OUT.invokeExact(o, x, y)));

      assertEquals("mm: mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)", e.getMessage());
    }
  }

  @Test
  void tensorsAreOfNoUseAfterTheirScope() {
    Scope scope = Scope.persistent();
    Tensor a = scope.zeros(DType.FLOAT32, 2, 2);
    scope.close();

    assertThrows(IllegalStateException.class, a::memory);
    assertThrows(IllegalStateException.class, () -> Aten.mm(a, a, a));
  }

  @Test
  void workspaceFramesNestLikeStackFrames() {
    try (Workspace workspace = new Workspace(1 << 20)) {
      try (Scope outer = workspace.open()) {
        MemorySegment first = outer.zeros(DType.FLOAT32, 100).memory();
        long place;
        try (Scope inner = workspace.open()) {
          place = inner.zeros(DType.FLOAT32, 100).memory().address();
          assertThrows(IllegalStateException.class, () -> outer.zeros(DType.FLOAT32, 1));
        }
        assertEquals(place, outer.zeros(DType.FLOAT32, 100).memory().address());
        assertEquals(0f, first.get(ValueLayout.JAVA_FLOAT, 0));
        assertThrows(OutOfMemoryError.class, () -> outer.zeros(DType.FLOAT32, 1 << 20));
      }
      assertEquals(2 * 448, workspace.peakBytes());
    }
  }

  @Test
  void aThousandStepsLeaveTheProcessNoLarger() throws IOException {
    try (Workspace workspace = new Workspace(1 << 30)) {
      // The JVM takes memory of its own at times, a leak takes it every time. A young heap, too,
      // grows with each round, until one is collected and its pages are there.
      long least = Long.MAX_VALUE;
      for (int round = 0; round < 20 && least >= LEAK_KILOBYTES; round++) {
        System.gc();
        long before = residentKilobytes();
        for (int i = 0; i < 1000; i++) {
          step(workspace);
        }
        least = Math.min(least, residentKilobytes() - before);
      }
      assertTrue(least < LEAK_KILOBYTES, "grew by " + least + " KiB");
    }
  }

  private static void step(Workspace workspace) {
    try (Scope scope = workspace.open()) {
      Tensor q = scope.zeros(DType.FLOAT32, 1, 4, 64, 32);
      var forward = Aten.attention(scope, q, q, q, null, 1);
      Aten.attentionBackward(scope, q, q, q, q, forward, null, 1);
      Tensor out = scope.zeros(DType.FLOAT32, 64, 64);
      for (int i = 0; i < 8; i++) {
        Tensor a = q.view(4L * 64, 32).slice(0, i, i + 64);
        Aten.mm(out, a, a.transpose());
      }
    }
  }

  private static long residentKilobytes() throws IOException {
    return Files.readAllLines(Path.of("/proc/self/status")).stream()
        .filter(line -> line.startsWith("VmRSS:"))
        .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")))
        .findFirst()
        .orElseThrow();
  }
}
