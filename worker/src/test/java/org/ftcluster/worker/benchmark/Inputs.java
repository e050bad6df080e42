package org.ftcluster.worker.benchmark;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.Shape;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;
import org.ftcluster.worker.tensor.Aten;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Parallel;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;

/** Random numbers as our tensors and as libtorch's; one thread computes. */
final class Inputs implements AutoCloseable {
  /** A prime, so that no row is as the one before. */
  private static final int PERIOD = 65_521;

  private final NDManager manager = NDManager.newBaseManager();
  private final Scope scope = Scope.persistent();
  private final float[] normal = normal();

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

  private static float[] normal() {
    Random random = new Random(5);
    float[] numbers = new float[PERIOD];
    for (int i = 0; i < PERIOD; i++) {
      numbers[i] = (float) random.nextGaussian();
    }
    return numbers;
  }

  /** A float32 tensor of normal numbers, the same ones again and again. */
  Tensor random(long... shape) {
    Tensor tensor = scope.empty(DType.FLOAT32, shape);
    for (long i = 0; i < tensor.elements(); i += PERIOD) {
      int count = (int) Math.min(PERIOD, tensor.elements() - i);
      MemorySegment.copy(
          normal, 0, tensor.memory(), ValueLayout.JAVA_FLOAT, i * Float.BYTES, count);
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
