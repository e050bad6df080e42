package org.ftcluster.coordinator.job;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;

class WorkerDemandTest {
  @Test
  void workersThatHoldAModelBetweenThemComeTogether() {
    WorkerDemand demand = new WorkerDemand(2, 7, 2);
    assertEquals(2, demand.usable(3));
    assertEquals(6, demand.usable(6));
    assertEquals(6, demand.usable(100));
    assertEquals(5, new WorkerDemand(1, 5).usable(9));
    assertThrows(IllegalArgumentException.class, () -> new WorkerDemand(3, 8, 2));
  }
}
