package org.ftcluster.worker.training;

import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import org.ftcluster.worker.tensor.cuda.CudaDevice;

/** How much memory there is. */
public final class MachineMemory {
  private MachineMemory() {}

  /** The machine's, or the container's where that is less, in bytes. */
  public static long total() {
    return ManagementFactory.getPlatformMXBean(OperatingSystemMXBean.class).getTotalMemorySize();
  }

  /**
   * The first GPU's, in bytes.
   *
   * @throws org.ftcluster.worker.tensor.NativeException when there is none; in one sentence
   */
  public static long ofGpu() {
    return CudaDevice.memoryBytes(0);
  }
}
