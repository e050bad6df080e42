package org.ftcluster.worker.model;

import java.lang.foreign.ValueLayout;
import java.util.SplittableRandom;
import org.ftcluster.worker.tensor.Aten;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;

/** Weights of a freshly initialised model, in bfloat16: matrices near 0, norms 1, biases 0. */
final class RandomTensors implements BaseTensors {
  private static final double RANGE = 0.035;

  /** Elements that are made at once. */
  private static final int PIECE = 1 << 20;

  private final SplittableRandom random = new SplittableRandom(1);

  @Override
  public boolean contains(String name) {
    return true;
  }

  @Override
  public Tensor get(Scope scope, String name, long... shape) {
    Tensor result = scope.empty(DType.BFLOAT16, shape);
    Tensor elements = result.view(result.elements());
    try (Scope temporary = Scope.persistent()) {
      // A table in float32 would be the most memory that the process ever has.
      Tensor values = temporary.empty(DType.FLOAT32, Math.min(elements.size(0), PIECE));
      for (long from = 0; from < elements.size(0); from += PIECE) {
        long count = Math.min(PIECE, elements.size(0) - from);
        for (long i = 0; i < count; i++) {
          double value =
              shape.length > 1 ? random.nextDouble(-RANGE, RANGE) : name.endsWith("bias") ? 0 : 1;
          values.memory().setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) value);
        }
        Aten.copy(elements.slice(0, from, from + count), values.slice(0, 0, count));
      }
    }
    return result;
  }

  @Override
  public void close() {}
}
