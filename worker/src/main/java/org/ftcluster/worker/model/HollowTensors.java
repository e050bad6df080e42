package org.ftcluster.worker.model;

import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;

/** The shapes of a base model's weights in bfloat16, without weights: for dry runs. */
final class HollowTensors implements BaseTensors {
  @Override
  public boolean contains(String name) {
    return true;
  }

  @Override
  public Tensor get(Scope scope, String name, long... shape) {
    return scope.empty(DType.BFLOAT16, shape);
  }

  @Override
  public void close() {}
}
