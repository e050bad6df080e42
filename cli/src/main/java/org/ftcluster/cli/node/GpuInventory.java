package org.ftcluster.cli.node;

import org.ftcluster.worker.tensor.NativeException;
import org.ftcluster.worker.tensor.cuda.CudaDevice;

/**
 * GPUs that the driver shows to this process.
 *
 * @param problem why there are none, in a clause; empty where there are some
 */
record GpuInventory(int count, String problem) {
  static GpuInventory of(int count) {
    return new GpuInventory(count, count > 0 ? "" : "the driver has none");
  }

  static GpuInventory none(String problem) {
    return new GpuInventory(0, problem);
  }

  /** Asks the driver. */
  static GpuInventory ofThisMachine() {
    try {
      return of(CudaDevice.count());
    } catch (NativeException e) {
      return none(String.valueOf(e.getMessage()));
    }
  }
}
