package org.ftcluster.worker.tensor;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertSame;

import org.junit.jupiter.api.Test;

class TensorTest {
  /** Each would take memory of libtorch's as long as the weight is there, step after step. */
  @Test
  void aWeightIsTransposedOnce() {
    try (Scope weights = Scope.persistent()) {
      Tensor weight = weights.zeros(DType.FLOAT32, 2, 3);
      assertSame(weight.transpose(), weight.transpose());
      assertSame(weight, weight.transpose().transpose());
      assertArrayEquals(new long[] {3, 2}, weight.transpose().shape());
    }
  }
}
