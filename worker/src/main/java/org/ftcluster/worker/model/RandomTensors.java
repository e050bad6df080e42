package org.ftcluster.worker.model;

import java.lang.foreign.ValueLayout;
import java.util.SplittableRandom;
import org.ftcluster.worker.tensor.Aten;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;

/**
 * Weights of a freshly initialised model, in bfloat16: matrices near 0, norms 1, biases 0, an
 * untied head.
 */
final class RandomTensors implements BaseTensors {
  private static final double RANGE = 0.035;

  private final SplittableRandom random = new SplittableRandom(1);

  @Override
  public boolean contains(String name) {
    return true;
  }

  @Override
  public Tensor get(Scope scope, String name, long... shape) {
    Tensor result = scope.empty(DType.BFLOAT16, shape);
    try (Scope temporary = Scope.persistent()) {
      Tensor values = temporary.empty(DType.FLOAT32, shape);
      for (long i = 0; i < values.elements(); i++) {
        double value =
            shape.length > 1 ? random.nextDouble(-RANGE, RANGE) : name.endsWith("bias") ? 0 : 1;
        values.memory().setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) value);
      }
      Aten.copy(result, values);
    }
    return result;
  }

  @Override
  public void close() {}
}
