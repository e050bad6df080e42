package org.ftcluster.worker.quantization;

import java.lang.foreign.MemorySegment;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;

/** A weight held in the type that products are computed in. */
public record DenseWeight(Tensor matrix) implements Weight {
  public DenseWeight {
    if (matrix.rank() != 2) {
      throw new IllegalArgumentException("a weight is a matrix, not " + matrix);
    }
  }

  @Override
  public long rows() {
    return matrix.size(0);
  }

  @Override
  public long columns() {
    return matrix.size(1);
  }

  @Override
  public long bytes() {
    return matrix.elements() * matrix.dtype().bytes();
  }

  @Override
  public Tensor expand(Scope scope) {
    return matrix;
  }

  @Override
  public MemorySegment elements() {
    if (!matrix.isContiguous()) {
      throw new IllegalStateException("not contiguous: " + matrix);
    }
    return matrix.memory();
  }

  @Override
  public Weight onDevice(Scope scope) {
    return new DenseWeight(scope.copyOf(matrix));
  }

  @Override
  public Weight movedTo(Storage storage) {
    return new MovedWeight(rows(), columns(), matrix.dtype(), storage);
  }
}
