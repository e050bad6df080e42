package org.ftcluster.coordinator.job;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.ftcluster.protocol.job.JobSpecReader;
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

  @Test
  void aJobForGpusHasNoUseForOtherWorkers() {
    assertTrue(demand("cpu").accepts(false));
    assertTrue(demand("cuda").accepts(true));
    assertFalse(demand("cuda").accepts(false));
    assertFalse(demand("cuda").atMost(1).accepts(false));
  }

  private static WorkerDemand demand(String device) {
    String yaml =
        """
        name: job
        model: {path: /base}
        data: {train: {path: /train.jsonl, prompt: "{a}", response: "{b}"}}
        resources: {device: %s}
        checkpoint: {path: /out}
        """;
    return WorkerDemand.of(JobSpecReader.resolved(yaml.formatted(device)));
  }
}
