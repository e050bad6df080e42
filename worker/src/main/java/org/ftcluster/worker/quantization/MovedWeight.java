package org.ftcluster.worker.quantization;

import java.lang.foreign.MemorySegment;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;

/** A dense weight whose elements come and go, in the memory of the scopes that it is used in. */
record MovedWeight(long rows, long columns, DType dtype, Storage storage) implements Weight {
  @Override
  public long bytes() {
    return storage.held();
  }

  @Override
  public Tensor expand(Scope scope) {
    return scope.at(storage.bytes(), dtype, rows, columns);
  }

  @Override
  public MemorySegment elements() {
    return storage.bytes();
  }

  @Override
  public Weight onDevice(Scope scope) {
    return this;
  }

  @Override
  public Weight movedTo(Storage other) {
    return new MovedWeight(rows, columns, dtype, other);
  }
}
