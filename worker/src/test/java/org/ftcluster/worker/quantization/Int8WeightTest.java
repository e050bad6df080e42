package org.ftcluster.worker.quantization;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import org.ftcluster.worker.safetensors.SafetensorsFile;
import org.ftcluster.worker.tensor.Aten;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Eight bits against what bitsandbytes makes of the same matrix, and against their definition. */
class Int8WeightTest {
  private static final int ROWS = 48;
  private static final int COLUMNS = 200;

  private Scope scope;
  private SafetensorsFile golden;

  @BeforeEach
  void open() {
    scope = Scope.persistent();
    golden = SafetensorsFile.open(Path.of("src/test/resources/int8/int8.safetensors"));
  }

  @AfterEach
  void close() {
    golden.close();
    scope.close();
  }

  private float[] floats(String name) {
    return golden.get(name).data().toArray(ValueLayout.JAVA_FLOAT_UNALIGNED);
  }

  private Tensor goldenMatrix() {
    return scope.wrap(golden.get("weight").data(), DType.FLOAT32, ROWS, COLUMNS);
  }

  private Tensor random(DType type, long rows, long columns) {
    Random random = new Random(5);
    Tensor matrix = scope.empty(DType.FLOAT32, rows, columns);
    for (long i = 0; i < matrix.elements(); i++) {
      matrix.memory().setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) random.nextGaussian());
    }
    Tensor converted = scope.empty(type, rows, columns);
    Aten.copy(converted, matrix);
    return converted;
  }

  @Test
  void codesAndScalesAreThoseOfBitsandbytes() {
    Int8Weight weight = Int8Weight.quantize(scope, goldenMatrix(), DType.FLOAT32);

    assertArrayEquals(golden.get("codes").data().toArray(ValueLayout.JAVA_BYTE), weight.codes());
    assertArrayEquals(floats("absmax"), weight.absmax());
  }

  @Test
  void expandedValuesAreThoseOfBitsandbytes() {
    Int8Weight weight = Int8Weight.quantize(scope, goldenMatrix(), DType.FLOAT32);

    assertArrayEquals(floats("dequantized"), weight.expand(scope).toFloats());
  }

  @Test
  void bfloat16ExpansionIsTheFloat32OneRounded() {
    Tensor matrix = random(DType.BFLOAT16, 5, 5000);
    Tensor exact = Int8Weight.quantize(scope, matrix, DType.FLOAT32).expand(scope);
    Tensor half = Int8Weight.quantize(scope, matrix, DType.BFLOAT16).expand(scope);

    Tensor rounded = scope.empty(DType.BFLOAT16, 5, 5000);
    Aten.copy(rounded, exact);
    assertArrayEquals(rounded.toFloats(), half.toFloats());
  }

  @Test
  void anElementIsOffByHalfAStepOfItsRowAtMost() {
    float[] x = random(DType.FLOAT32, 3, 5000).toFloats();

    float[] y =
        Int8Weight.quantize(scope, random(DType.FLOAT32, 3, 5000), DType.FLOAT32)
            .expand(scope)
            .toFloats();

    for (int row = 0; row < 3; row++) {
      float absmax = 0;
      for (int i = row * 5000; i < (row + 1) * 5000; i++) {
        absmax = Math.max(absmax, Math.abs(x[i]));
      }
      for (int i = row * 5000; i < (row + 1) * 5000; i++) {
        assertEquals(x[i], y[i], absmax / 127 * 0.50001f);
      }
    }
  }

  @Test
  void rowsOfZerosAndRowsThatHoldNoNumberKeepToThemselves() {
    Tensor matrix = random(DType.FLOAT32, 4, 70);
    for (int i = 0; i < 70; i++) {
      matrix.memory().setAtIndex(ValueLayout.JAVA_FLOAT, 70 + i, i % 2 == 0 ? 0f : -0f);
    }
    matrix.memory().setAtIndex(ValueLayout.JAVA_FLOAT, 2 * 70 + 3, Float.NaN);

    float[] expanded = Int8Weight.quantize(scope, matrix, DType.FLOAT32).expand(scope).toFloats();

    assertArrayEquals(new float[70], Arrays.copyOfRange(expanded, 70, 140));
    for (int i = 0; i < 70; i++) {
      assertTrue(Float.isNaN(expanded[2 * 70 + i]), "what isn't a number stays visible");
      assertTrue(Float.isFinite(expanded[i]) && Float.isFinite(expanded[3 * 70 + i]));
    }
  }

  @Test
  void slicesEqualSlicesOfTheWhole() {
    Int8Weight whole = Int8Weight.quantize(scope, random(DType.FLOAT32, 64, 33), DType.FLOAT32);
    float[] expanded = whole.expand(scope).toFloats();

    for (int[] part :
        new int[][] {{0, 64, 0, 33}, {10, 43, 0, 33}, {0, 64, 7, 20}, {63, 64, 32, 33}}) {
      Int8Weight slice = whole.slice(scope, part[0], part[1], part[2], part[3]);
      int width = part[3] - part[2];
      assertEquals(part[1] - part[0], slice.rows());
      assertEquals(width, slice.columns());
      float[] actual = slice.expand(scope).toFloats();
      for (int row = part[0]; row < part[1]; row++) {
        assertArrayEquals(
            Arrays.copyOfRange(expanded, row * 33 + part[2], row * 33 + part[3]),
            Arrays.copyOfRange(actual, (row - part[0]) * width, (row - part[0] + 1) * width));
      }
    }
  }

  @Test
  void aSliceBeyondTheMatrixIsRefused() {
    Int8Weight weight = Int8Weight.quantize(scope, goldenMatrix(), DType.FLOAT32);

    assertThrows(
        IllegalArgumentException.class, () -> weight.slice(scope, 0, ROWS + 1, 0, COLUMNS));
    assertThrows(
        IllegalArgumentException.class, () -> weight.slice(scope, 0, ROWS, 0, COLUMNS + 1));
  }

  @Test
  void takesAByteAnElementAndAFloatARow() {
    assertEquals(
        512 * 300 + 4 * 512,
        Int8Weight.quantize(scope, random(DType.BFLOAT16, 512, 300), DType.BFLOAT16).bytes());
  }
}
