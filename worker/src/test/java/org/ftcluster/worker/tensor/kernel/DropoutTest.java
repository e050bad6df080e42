package org.ftcluster.worker.tensor.kernel;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import org.ftcluster.worker.tensor.Aten;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.SplitMix64;
import org.ftcluster.worker.tensor.Tensor;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class DropoutTest {
  private static final long SEED = -7;

  private Scope scope;

  @BeforeEach
  void open() {
    Aten.initialize();
    scope = Scope.persistent();
  }

  @AfterEach
  void close() {
    scope.close();
  }

  @ParameterizedTest
  @CsvSource({"0.05, 64", "0.5, 100", "0.99, 3", "0, 37"})
  void anElementIsDroppedWhereItsRandomNumberSaysSo(double p, int width) {
    Tensor from = ones(70, width);
    Tensor to = ones(70, width);

    Dropout.drop(to, from, new Dropout.Mask(p, SEED, 5, width + 9));

    float[] values = to.toFloats();
    for (int row = 0; row < 70; row++) {
      for (int column = 0; column < width; column++) {
        long place = row * (width + 9L) + 5 + column;
        double random =
            (SplitMix64.mix(SEED + place * 0x9E3779B97F4A7C15L) >>> 32) / (double) (1L << 32);
        float kept = random < p ? 0 : (float) (1 / (1 - p));
        assertEquals(kept, values[row * width + column], "row " + row + ", column " + column);
      }
    }
  }

  @Test
  void aShareIsDroppedAndTheRestMakesUpForIt() {
    Tensor to = ones(1000, 100);

    Dropout.drop(to, to, new Dropout.Mask(0.2, SEED, 0, 100));

    double sum = 0;
    int dropped = 0;
    for (float value : to.toFloats()) {
      sum += value;
      dropped += value == 0 ? 1 : 0;
    }
    assertEquals(0.2, dropped / 1e5, 0.005);
    assertEquals(1, sum / 1e5, 0.01);
  }

  @Test
  void whatStaysIsAddedToWhatIsThere() {
    Tensor from = ones(3, 40);
    Tensor kept = ones(3, 40);
    Tensor sum = ones(3, 40);
    Dropout.Mask mask = new Dropout.Mask(0.5, SEED, 0, 40);

    Dropout.drop(kept, from, mask);
    Dropout.add(sum, from, mask);

    float[] expected = kept.toFloats();
    for (int i = 0; i < expected.length; i++) {
      expected[i] += 1;
    }
    assertArrayEquals(expected, sum.toFloats());
  }

  @Test
  void columnsOfAMatrixAreDroppedAsInTheWhole() {
    Tensor whole = ones(4, 90);
    Tensor part = ones(4, 50);

    Dropout.drop(whole, whole, new Dropout.Mask(0.5, SEED, 0, 90));
    Dropout.drop(part, part, new Dropout.Mask(0.5, SEED, 40, 90));

    for (int row = 0; row < 4; row++) {
      assertArrayEquals(
          Arrays.copyOfRange(whole.toFloats(), row * 90 + 40, row * 90 + 90),
          Arrays.copyOfRange(part.toFloats(), row * 50, row * 50 + 50));
    }
  }

  private Tensor ones(int rows, int columns) {
    Tensor tensor = scope.empty(DType.FLOAT32, rows, columns);
    for (long i = 0; i < tensor.elements(); i++) {
      tensor.memory().setAtIndex(ValueLayout.JAVA_FLOAT, i, 1);
    }
    return tensor;
  }
}
