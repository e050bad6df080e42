package org.ftcluster.worker.training;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.collective.Communicator.ElementType;
import org.ftcluster.worker.collective.Communicator.ReduceOp;
import org.ftcluster.worker.collective.nccl.NcclCommunicator;
import org.ftcluster.worker.collective.nccl.StagedCommunicator;
import org.ftcluster.worker.parallel.RankLinks;
import org.ftcluster.worker.tensor.Accelerator;
import org.ftcluster.worker.tensor.cuda.CudaDevice;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A GPU of NVIDIA's, whose ranks reach each other by NCCL: layers and gradients from GPU to GPU,
 * what is on the hosts by way of the GPUs. Where a worker has no NCCL, or it may not be used, these
 * go over the network, and models in parts can't be trained.
 *
 * @param ncclInPlain whether NCCL, which doesn't encrypt, may go between machines whose other
 *     connections are encrypted
 */
record NvidiaGpu(Accelerator accelerator, boolean ncclInPlain) implements Gpu {
  private static final Logger log = LoggerFactory.getLogger(NvidiaGpu.class);

  /**
   * This process's first, for the calling thread.
   *
   * @throws org.ftcluster.worker.tensor.NativeException when there is none
   */
  static NvidiaGpu open(boolean ncclInPlain) {
    return new NvidiaGpu(CudaDevice.open(0), ncclInPlain);
  }

  @Override
  public RankLinks link(Communicator hosts, boolean inParts, Duration deadline) {
    if (hosts.size() == 1) {
      return RankLinks.ofHosts(hosts);
    }
    String missing =
        hosts.encryptsBetweenMachines() && !ncclInPlain
            ? "it doesn't encrypt, as other connections of these machines do; `ftcluster worker"
                + " --nccl-in-plain` lets it"
            : NcclCommunicator.missing();
    if (isMissingAnywhere(!missing.isEmpty(), hosts, deadline)) {
      String why = missing.isEmpty() ? "another worker can't" : missing;
      if (inParts) {
        throw new BadJobException(
            "resources.device is cuda, and the model is in parts, which takes NCCL: " + why);
      }
      log.warn("gradients go over the network, since not every worker can use NCCL: {}", why);
      return RankLinks.ofHosts(hosts);
    }
    NcclCommunicator gpus =
        NcclCommunicator.connect(
            hosts, accelerator.torchDeviceIndex(), accelerator.stream(), deadline);
    return new RankLinks(hosts, gpus, StagedCommunicator.of(gpus, accelerator), accelerator);
  }

  private static boolean isMissingAnywhere(boolean here, Communicator hosts, Duration deadline) {
    try (Arena arena = Arena.ofShared()) {
      MemorySegment missing = arena.allocateFrom(ValueLayout.JAVA_LONG, here ? 1 : 0);
      hosts.allReduce(missing, ElementType.INT64, ReduceOp.MAX).await(deadline);
      return missing.get(ValueLayout.JAVA_LONG, 0) > 0;
    }
  }
}
