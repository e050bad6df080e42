package org.ftcluster.worker.quantization;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.Random;
import org.ftcluster.worker.safetensors.SafetensorsFile;
import org.ftcluster.worker.tensor.Aten;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** NF4 against what bitsandbytes makes of the same matrix, and against its own definition. */
class Nf4WeightTest {
  private Scope scope;
  private SafetensorsFile golden;

  @BeforeEach
  void open() {
    scope = Scope.persistent();
    golden = SafetensorsFile.open(Path.of("src/test/resources/nf4/nf4.safetensors"));
  }

  @AfterEach
  void close() {
    golden.close();
    scope.close();
  }

  private float[] floats(String name) {
    return golden.get(name).data().toArray(ValueLayout.JAVA_FLOAT_UNALIGNED);
  }

  private byte[] bytes(String name) {
    return golden.get(name).data().toArray(ValueLayout.JAVA_BYTE);
  }

  private Tensor goldenMatrix() {
    return scope.wrap(golden.get("weight").data(), DType.FLOAT32, 48, 448);
  }

  private Tensor random(long rows, long columns) {
    Random random = new Random(5);
    Tensor matrix = scope.empty(DType.FLOAT32, rows, columns);
    for (long i = 0; i < matrix.elements(); i++) {
      matrix.memory().setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) random.nextGaussian());
    }
    return matrix;
  }

  @Test
  void codeBooksAreThoseOfBitsandbytes() {
    assertArrayEquals(floats("code_book"), CodeBooks.NF4);
    assertArrayEquals(floats("nested_code_book"), CodeBooks.DYNAMIC, 1e-7f);
  }

  @Test
  void packedCodesAreThoseOfBitsandbytesByteForByte() {
    Nf4Weight weight = Nf4Weight.quantize(scope, goldenMatrix(), DType.FLOAT32, true);

    assertArrayEquals(bytes("packed"), weight.packedCodes());
  }

  @Test
  void theEvenElementIsTheHighHalfOfItsByte() {
    Tensor row = scope.zeros(DType.FLOAT32, 1, 64);
    row.memory().setAtIndex(ValueLayout.JAVA_FLOAT, 0, -1f);
    row.memory().setAtIndex(ValueLayout.JAVA_FLOAT, 1, 1f);

    byte[] codes = Nf4Weight.quantize(scope, row, DType.FLOAT32, false).packedCodes();

    assertEquals((byte) 0x0F, codes[0]);
    assertEquals((byte) 0x77, codes[1]);
  }

  @Test
  void aCodeIsHowManyBoundsItsValueExceeds() {
    assertCodes(random(9, 70)); // the last block isn't whole
    assertCodes(random(1024, 1025)); // large enough to have them looked up
  }

  private void assertCodes(Tensor matrix) {
    float[] bounds = CodeBooks.bounds(CodeBooks.NF4);
    for (int i = 0; i < Nf4Weight.BLOCK - 1; i++) {
      float bound = bounds[i / 3 % bounds.length];
      float value = i % 3 == 0 ? Math.nextDown(bound) : i % 3 == 1 ? bound : Math.nextUp(bound);
      matrix.memory().setAtIndex(ValueLayout.JAVA_FLOAT, i, value);
    }
    matrix.memory().setAtIndex(ValueLayout.JAVA_FLOAT, 63, -1f); // the absmax of those
    for (int i = 64; i < 128; i++) {
      matrix.memory().setAtIndex(ValueLayout.JAVA_FLOAT, i, i % 2 == 0 ? 0f : -0f);
    }
    matrix.memory().setAtIndex(ValueLayout.JAVA_FLOAT, 130, Float.POSITIVE_INFINITY);
    matrix.memory().setAtIndex(ValueLayout.JAVA_FLOAT, 200, Float.NaN);

    byte[] packed = Nf4Weight.quantize(scope, matrix, DType.FLOAT32, false).packedCodes();

    float[] x = matrix.toFloats();
    for (int block = 0; block < x.length; block += Nf4Weight.BLOCK) {
      int end = Math.min(block + Nf4Weight.BLOCK, x.length);
      float absmax = 0;
      for (int i = block; i < end; i++) {
        absmax = Math.max(absmax, Math.abs(x[i]));
      }
      for (int i = block; i < end; i++) {
        int expected = 0;
        for (float bound : bounds) {
          expected += x[i] * (1 / Math.max(absmax, 1e-38f)) > bound ? 1 : 0;
        }
        int code = i % 2 == 0 ? packed[i / 2] >> 4 & 0xF : packed[i / 2] & 0xF;
        if (code != expected) {
          fail("element %d, %s, has code %d, not %d".formatted(i, x[i], code, expected));
        }
      }
    }
  }

  @Test
  void doubleQuantizedAbsmaxIsThatOfBitsandbytes() {
    Nf4Weight weight = Nf4Weight.quantize(scope, goldenMatrix(), DType.FLOAT32, true);

    var nested = (Absmax.DoubleQuantized) weight.absmax();
    assertEquals(floats("offset")[0], nested.offset(), 1e-7f);
    assertArrayEquals(floats("nested_absmax"), nested.groups(), 1e-7f);
    assertArrayEquals(bytes("absmax_codes"), nested.codes());
  }

  @Test
  void expandedValuesAreThoseOfBitsandbytes() {
    Nf4Weight weight = Nf4Weight.quantize(scope, goldenMatrix(), DType.FLOAT32, true);

    assertArrayEquals(floats("dequantized"), weight.expand(scope).toFloats(), 1e-6f);
  }

  @Test
  void bfloat16ExpansionIsTheFloat32OneRounded() {
    Tensor exact = Nf4Weight.quantize(scope, goldenMatrix(), DType.FLOAT32, true).expand(scope);
    Tensor half = Nf4Weight.quantize(scope, goldenMatrix(), DType.BFLOAT16, true).expand(scope);

    Tensor rounded = scope.empty(DType.BFLOAT16, 48, 448);
    Aten.copy(rounded, exact);
    assertArrayEquals(rounded.toFloats(), half.toFloats());
  }

  @Test
  void roundTripErrorIsWithinHalfTheWidestGap() {
    Tensor matrix = random(32, 256);
    float[] x = matrix.toFloats();

    float[] y = Nf4Weight.quantize(scope, matrix, DType.FLOAT32, false).expand(scope).toFloats();

    double squares = 0;
    double error = 0;
    for (int block = 0; block < x.length; block += Nf4Weight.BLOCK) {
      float absmax = 0;
      for (int i = block; i < block + Nf4Weight.BLOCK; i++) {
        absmax = Math.max(absmax, Math.abs(x[i]));
      }
      for (int i = block; i < block + Nf4Weight.BLOCK; i++) {
        assertTrue(Math.abs(x[i] - y[i]) <= absmax * (1 - 0.6961928f) / 2 * 1.0001f);
        squares += x[i] * x[i];
        error += (x[i] - y[i]) * (x[i] - y[i]);
      }
    }
    // Normal numbers keep about 21 dB; a wrong code book or order keeps none.
    assertTrue(Math.sqrt(error / squares) < 0.1, "relative error " + Math.sqrt(error / squares));
  }

  @Test
  void slicesEqualSlicesOfTheWhole() {
    for (boolean doubleQuant : new boolean[] {false, true}) {
      Nf4Weight whole = Nf4Weight.quantize(scope, random(640, 256), DType.FLOAT32, doubleQuant);
      Tensor expanded = whole.expand(scope);

      assertSlice(expanded, whole.slice(scope, 100, 613, 0, 256), 100, 0);
      assertSlice(expanded, whole.slice(scope, 0, 640, 64, 192), 0, 64);
      assertSlice(expanded, whole.slice(scope, 320, 640, 192, 256), 320, 192);
      assertSlice(expanded, whole.slice(scope, 3, 640, 0, 33), 3, 0);
      assertSlice(expanded, whole.slice(scope, 0, 40, 100, 250), 0, 100);
    }
  }

  private void assertSlice(Tensor whole, Nf4Weight slice, long row, long column) {
    float[] expected = whole.toFloats();
    Tensor part = scope.empty(DType.FLOAT32, slice.rows(), slice.columns());
    Aten.copy(part, slice.expand(scope));
    float[] actual = part.toFloats();
    for (int r = 0; r < slice.rows(); r++) {
      for (int c = 0; c < slice.columns(); c++) {
        assertEquals(
            expected[(int) ((row + r) * whole.size(1) + column + c)],
            actual[(int) (r * slice.columns() + c)]);
      }
    }
  }

  @Test
  void rowsThatBeginWithinABlockAreRefused() {
    Nf4Weight weight = Nf4Weight.quantize(scope, random(8, 96), DType.FLOAT32, true);

    assertThrows(IllegalArgumentException.class, () -> weight.slice(scope, 1, 8, 0, 96));
    assertThrows(IllegalArgumentException.class, () -> weight.slice(scope, 0, 8, 0, 32));
  }

  @Test
  void sizesThatAreNoMultipleOfABlockKeepTheirTail() {
    Tensor matrix = random(3, 35);

    float[] expanded =
        Nf4Weight.quantize(scope, matrix, DType.BFLOAT16, false).expand(scope).toFloats();

    float[] x = matrix.toFloats();
    for (int i = 0; i < x.length; i++) {
      assertEquals(x[i], expanded[i], 0.6f);
    }
  }

  @Test
  void doubleQuantizationTakesLittleMoreThanHalfAByteAnElement() {
    Nf4Weight weight = Nf4Weight.quantize(scope, random(512, 512), DType.BFLOAT16, true);

    assertEquals(0.516, (double) weight.bytes() / (512 * 512), 0.001);
  }
}
