package org.ftcluster.worker.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import org.ftcluster.worker.tensor.cuda.SimulatedDevice;
import org.junit.jupiter.api.Test;

/** Every CUDA kernel against the CPU's, without a GPU: its very source, run by the simulation. */
class KernelCheckTest {
  @Test
  void everyKernelAgreesWithTheCpus() {
    try (SimulatedDevice device = SimulatedDevice.open()) {
      List<KernelCheck.Comparison> all = new KernelCheck(device).compare(one -> {});
      assertEquals(List.of(), all.stream().filter(one -> !one.isGood()).toList());
    }
  }
}
