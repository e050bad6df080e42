package org.ftcluster.worker.training;

import java.time.Duration;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.parallel.RankLinks;
import org.ftcluster.worker.tensor.Accelerator;
import org.ftcluster.worker.tensor.cuda.SimulatedDevice;

/**
 * A {@link SimulatedDevice} that is linked as a GPU of NVIDIA's is, over whatever NCCL is there.
 */
record SimulatedGpu(Accelerator accelerator) implements Gpu {
  static SimulatedGpu open() {
    return new SimulatedGpu(SimulatedDevice.open());
  }

  @Override
  public RankLinks link(Communicator hosts, boolean inParts, Duration deadline) {
    return new NvidiaGpu(accelerator, false).link(hosts, inParts, deadline);
  }
}
