package org.ftcluster.worker.quantization;

import java.lang.foreign.MemorySegment;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;

/** A dense weight whose elements come and go. */
record MovedWeight(long rows, long columns, DType dtype, Storage storage) implements Weight {
  @Override
  public long bytes() {
    return storage.held();
  }

  @Override
  public Tensor expand(Scope scope) {
    return scope.wrap(storage.bytes(), dtype, rows, columns);
  }

  @Override
  public MemorySegment elements() {
    return storage.bytes();
  }

  @Override
  public Weight onDevice(Scope scope) {
    throw new IllegalStateException("a weight that comes and goes stays the host's");
  }

  @Override
  public Weight movedTo(Storage other) {
    return new MovedWeight(rows, columns, dtype, other);
  }
}
