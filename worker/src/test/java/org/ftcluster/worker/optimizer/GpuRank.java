package org.ftcluster.worker.optimizer;

import static org.ftcluster.worker.collective.Ranks.LIMIT;

import java.lang.foreign.MemorySegment;
import java.util.List;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.collective.Ranks;
import org.ftcluster.worker.collective.nccl.NcclCommunicator;
import org.ftcluster.worker.model.DeviceParameters;
import org.ftcluster.worker.model.ParameterBuffer;
import org.ftcluster.worker.tensor.cuda.SimulatedDevice;
import org.jspecify.annotations.Nullable;

/**
 * A rank with a simulated GPU, linked to others by a simulated NCCL, which is open.
 *
 * @param gpus all ranks', in the background; null where this one is alone
 */
record GpuRank(
    Communicator hosts,
    @Nullable Communicator gpus,
    ParameterBuffer buffer,
    DeviceParameters parameters) {
  interface Body<T> {
    T run(GpuRank rank) throws Exception;
  }

  /**
   * What each of them comes to.
   *
   * @param parameters that each has
   */
  static <T> List<T> run(int size, long parameters, Body<T> body) throws Exception {
    var all = new ParameterBuffer.Slice("a", new long[] {parameters}, 0);
    return Ranks.run(
        size,
        hosts -> {
          try (SimulatedDevice device = SimulatedDevice.open();
              ParameterBuffer buffer = new ParameterBuffer(List.of(all));
              NcclCommunicator gpus =
                  NcclCommunicator.connect(hosts, 0, MemorySegment.NULL, LIMIT)) {
            Communicator others = size == 1 ? null : gpus.background();
            return body.run(new GpuRank(hosts, others, buffer, buffer.on(device)));
          }
        });
  }

  /** Has a backward leave these on the GPU. */
  void leave(MemorySegment gradients) {
    parameters.device().upload(parameters.gradients(), gradients);
  }
}
