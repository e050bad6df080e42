package org.ftcluster.worker.benchmark;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.Shape;
import java.lang.foreign.ValueLayout;
import java.util.Random;
import org.ftcluster.worker.tensor.Aten;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Parallel;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;

/** Random numbers as our tensors and as libtorch's; one thread computes. */
final class Inputs implements AutoCloseable {
  private final NDManager manager = NDManager.newBaseManager();
  private final Scope scope = Scope.persistent();
  private final Random random = new Random(5);

  Inputs() {
    Aten.initialize();
    Parallel.setThreads(1);
  }

  Scope scope() {
    return scope;
  }

  NDManager manager() {
    return manager;
  }

  /** A float32 tensor of normal numbers. */
  Tensor random(long... shape) {
    Tensor tensor = scope.empty(DType.FLOAT32, shape);
    for (long i = 0; i < tensor.elements(); i++) {
      tensor.memory().setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) random.nextGaussian());
    }
    return tensor;
  }

  Tensor empty(long... shape) {
    return scope.empty(DType.FLOAT32, shape);
  }

  NDArray array(Tensor tensor) {
    return manager.create(tensor.toFloats(), new Shape(tensor.shape()));
  }

  /** As {@link #array}, with a gradient that libtorch's autograd works out. */
  NDArray trained(Tensor tensor) {
    NDArray array = array(tensor);
    array.setRequiresGradient(true);
    return array;
  }

  @Override
  public void close() {
    scope.close();
    manager.close();
  }
}
