package org.ftcluster.worker.quantization;

import java.lang.foreign.MemorySegment;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;

/** A frozen matrix [out, in], however it is held. */
public sealed interface Weight permits DenseWeight, DeviceWeight, MovedWeight, PackedWeight {
  /** out. */
  long rows();

  /** in. */
  long columns();

  /** Bytes that the weight takes while it isn't used. */
  long bytes();

  /**
   * The matrix in the type that products are computed in: dense weights as they are, packed ones
   * expanded into {@code scope}, to be dropped right after the product.
   */
  Tensor expand(Scope scope);

  /** Where a weight's elements are at the moment. */
  interface Storage {
    MemorySegment bytes();

    /** Bytes that it takes all the time. */
    long held();
  }

  /** Elements that stay where they are. */
  record Resident(MemorySegment bytes) implements Storage {
    @Override
    public long held() {
      return bytes.byteSize();
    }
  }

  /** The elements as they are held, without the scales of packed ones. */
  MemorySegment elements();

  /** The same weight with its elements elsewhere, in the same kind of memory or another. */
  Weight movedTo(Storage storage);

  /**
   * The same weight in an accelerator's memory. Elements that were moved are there already.
   *
   * @param scope of that accelerator, where it stays
   */
  Weight onDevice(Scope scope);
}
