package org.ftcluster.coordinator.registry;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.time.Duration;
import java.util.List;
import org.ftcluster.coordinator.job.WorkerDemand;
import org.junit.jupiter.api.Test;

/** What workers do that join while a job runs. */
class StaffingGrowthTest extends StaffedWorkers {
  @Test
  void aWorkerThatJoinsLoadsTheJobThatRunsAndThenTheJobGrows() {
    jobOneRunsOnA();
    staffing.present(List.of(a, b));
    orders.clear();
    answer(a);
    answer(b);
    expect("b loads 1");
    staffing.tick(Duration.ofSeconds(1));
    orders.clear();
    answer(a);
    answer(b, "PREPARING", "1");
    expect();
    staffing.tick(Duration.ofSeconds(2));
    orders.clear();
    answer(a);
    answer(b, "IDLE", "1");
    expect("1 grows");
  }

  @Test
  void aJobGrowsByWorkersThatOneThatWaitsCanNotUse() {
    jobOneRunsOnA();
    staffing.wants(gpuWish("2"));
    answer(a);
    staffing.present(List.of(a, b));
    orders.clear();
    answer(a);
    answer(b);
    expect("b loads 1");
    staffing.tick(Duration.ofSeconds(1));
    orders.clear();
    answer(a);
    answerWithGpu(b);
    expect("2 gets [b]");
  }

  @Test
  void aWorkerThatCannotLoadIsAskedAgainAfterAWhile() {
    jobOneRunsOnA();
    staffing.present(List.of(a, b));
    for (int second = 0; second <= 30; second++) {
      staffing.tick(Duration.ofSeconds(second));
      orders.clear();
      answer(a);
      answer(b);
      assertEquals(second % 30 == 0, orders.contains("b loads 1"), "second " + second);
    }
  }

  /** It could use another worker. */
  private void jobOneRunsOnA() {
    staffing.open();
    staffing.present(List.of(a));
    answer(a);
    staffing.wants(wish("1", 1, 2));
    staffing.demands("1", new WorkerDemand(1, 2));
    answer(a);
  }
}
