package org.ftcluster.worker.tensor.kernel;

import static org.junit.jupiter.api.Assertions.assertEquals;

import ai.djl.engine.Engine;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.Shape;
import ai.djl.training.GradientCollector;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;
import java.util.function.Function;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;

/** libtorch's own autograd, through DJL, as the judge of hand-written backward passes. */
final class Autograd implements AutoCloseable {
  private static final double TOLERANCE = 1e-4;

  private final NDManager manager = NDManager.newBaseManager();
  private final Scope scope = Scope.persistent();
  private final Random random = new Random(11);

  /** A float32 tensor of normal numbers. */
  Tensor random(long... shape) {
    Tensor tensor = scope.empty(DType.FLOAT32, shape);
    for (long i = 0; i < tensor.elements(); i++) {
      tensor.memory().setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) random.nextGaussian());
    }
    return tensor;
  }

  Tensor copy(Tensor tensor) {
    Tensor copy = scope.empty(tensor.dtype(), tensor.shape());
    MemorySegment.copy(tensor.memory(), 0, copy.memory(), 0, tensor.memory().byteSize());
    return copy;
  }

  Tensor zeros(long... shape) {
    return scope.zeros(DType.FLOAT32, shape);
  }

  Scope scope() {
    return scope;
  }

  NDArray array(Tensor tensor) {
    return manager.create(tensor.toFloats(), new Shape(tensor.shape()));
  }

  /** A reference result and the gradients of its inputs. */
  record Reference(float[] output, float[][] gradients) {}

  /** Runs {@code function} on the inputs, and back from {@code outputGradient}. */
  Reference run(Function<NDList, NDArray> function, Tensor outputGradient, Tensor... inputs) {
    NDList arrays = new NDList();
    for (Tensor input : inputs) {
      NDArray array = array(input);
      array.setRequiresGradient(true);
      arrays.add(array);
    }
    try (GradientCollector collector = Engine.getInstance().newGradientCollector()) {
      NDArray output = function.apply(arrays);
      collector.backward(output.mul(array(outputGradient)).sum());
      float[][] gradients = new float[inputs.length][];
      for (int i = 0; i < inputs.length; i++) {
        gradients[i] = arrays.get(i).getGradient().toFloatArray();
      }
      return new Reference(output.toFloatArray(), gradients);
    }
  }

  static void assertClose(String what, float[] expected, float[] actual) {
    assertEquals(expected.length, actual.length, what);
    double largest = 0;
    for (float value : expected) {
      largest = Math.max(largest, Math.abs(value));
    }
    for (int i = 0; i < expected.length; i++) {
      double tolerance = TOLERANCE * Math.max(Math.abs(expected[i]), 0.1 * largest);
      assertEquals(expected[i], actual[i], tolerance, what + "[" + i + "]");
    }
  }

  @Override
  public void close() {
    scope.close();
    manager.close();
  }
}
