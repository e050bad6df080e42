package org.ftcluster.worker.optimizer;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.ftcluster.protocol.job.JobSpec.Scheduler;
import org.junit.jupiter.api.Test;

/** Expected values are those of transformers.get_scheduler. */
class LearningRateTest {
  @Test
  void warmUpRisesFromZeroAtTheFirstStep() {
    for (Scheduler scheduler : Scheduler.values()) {
      LearningRate rate = new LearningRate(scheduler, 2e-3, 4, 10);
      assertEquals(0, rate.at(0));
      assertEquals(5e-4, rate.at(1), 1e-18);
      assertEquals(1.5e-3, rate.at(3), 1e-18);
      assertEquals(2e-3, rate.at(4), 1e-18);
    }
  }

  @Test
  void constantStays() {
    LearningRate rate = new LearningRate(Scheduler.CONSTANT, 1e-3, 0, 10);
    assertEquals(1e-3, rate.at(0));
    assertEquals(1e-3, rate.at(9));
  }

  @Test
  void linearFallsToZeroAfterTheLastStep() {
    LearningRate rate = new LearningRate(Scheduler.LINEAR, 1e-3, 2, 10);
    assertEquals(5e-4, rate.at(6), 1e-18);
    assertEquals(1.25e-4, rate.at(9), 1e-18);
    assertEquals(0, rate.at(10));
    assertEquals(0, rate.at(11));
  }

  @Test
  void cosineFallsAlongHalfAWave() {
    LearningRate rate = new LearningRate(Scheduler.COSINE, 1e-3, 2, 10);
    assertEquals(8.535533905932738e-4, rate.at(4), 1e-17);
    assertEquals(5e-4, rate.at(6), 1e-17);
    assertEquals(3.806023374435663e-5, rate.at(9), 1e-17);
    assertEquals(0, rate.at(10), 1e-19);
  }

  @Test
  void aJobThatIsAllWarmUpNeverLeavesIt() {
    LearningRate rate = new LearningRate(Scheduler.COSINE, 1e-3, 10, 10);
    assertEquals(9e-4, rate.at(9), 1e-18);
  }
}
