package org.ftcluster.worker.quantization;

import java.lang.foreign.MemorySegment;
import org.ftcluster.worker.tensor.Scope;

/** A packed weight in an accelerator's memory, where it stays. */
sealed interface DeviceWeight extends Weight permits DeviceInt8Weight, DeviceNf4Weight {
  /** Elements that a thread of the kernels expands. */
  int ELEMENTS_A_THREAD = 8;

  @Override
  default MemorySegment elements() {
    throw new IllegalStateException("a weight in an accelerator's memory stays there");
  }

  @Override
  default Weight movedTo(Storage storage) {
    throw new IllegalStateException("a weight in an accelerator's memory stays there");
  }

  @Override
  default Weight onDevice(Scope scope) {
    return this;
  }
}
