package org.ftcluster.coordinator.registry;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.List;
import java.util.Optional;
import org.ftcluster.coordinator.job.JobSignal.WantsWorkers;
import org.ftcluster.coordinator.job.WorkerDemand;
import org.junit.jupiter.api.Test;

/** Which job gets which workers, and when. */
class StaffingTest extends StaffedWorkers {
  @Test
  void aJobGetsWorkersThatSaidTheyAreThere() {
    staffing.open();
    staffing.wants(wish("1", 1, 2));
    staffing.present(List.of(a, b));
    expect("ask a", "ask b");
    answer(a);
    expect();
    for (int round = 1; round < 3; round++) {
      staffing.answered(b, Optional.empty());
      expect();
      staffing.tick(Duration.ofSeconds(round));
      expect("ask a", "ask b");
      answer(a);
    }
    staffing.answered(b, Optional.empty());
    expect("1 gets [a]");
  }

  @Test
  void workersAreAskedAfterTheWishNotBefore() {
    staffing.open();
    staffing.present(List.of(a));
    expect("ask a");
    staffing.wants(wish("1", 1, 2));
    answer(a);
    expect("ask a");
    answer(a);
    expect("1 gets [a]");
  }

  @Test
  void nobodyIsAssignedBeforeAllJobsAreKnown() {
    staffing.present(List.of(a));
    staffing.wants(wish("2", 1, 1));
    orders.clear();
    answer(a);
    answer(a);
    staffing.wants(new WantsWorkers("1", new WorkerDemand(1, 1), true));
    staffing.open();
    orders.clear();
    answer(a);
    expect("1 gets [a]");
  }

  @Test
  void aJobThatRecoversGivesItsWorkersBackFirst() {
    staffing.open();
    staffing.present(List.of(a));
    answer(a);
    staffing.wants(wish("1", 1, 2));
    answer(a);
    orders.clear();
    staffing.wants(wish("1", 1, 2));
    answer(a);
    expect("ask a", "1 gets [a]");
  }

  @Test
  void aJobThatIsToWaitGetsWorkersLaterAndNobodyOvertakesIt() {
    staffing.open();
    staffing.present(List.of(a, b));
    answer(a);
    answer(b);
    WantsWorkers later = new WantsWorkers("1", new WorkerDemand(1, 2), true, Duration.ofSeconds(4));
    staffing.wants(later);
    staffing.wants(wish("2", 1, 1));
    for (int second = 1; second <= 4; second++) {
      orders.clear();
      answer(a);
      answer(b);
      assertTrue(orders.stream().noneMatch(order -> order.contains("gets")), orders::toString);
      staffing.tick(Duration.ofSeconds(second));
    }
    orders.clear();
    answer(a);
    answer(b);
    expect("1 gets [a, b]");
  }

  @Test
  void aJobThatWaitsTooLongIsToldSo() {
    staffing.open();
    staffing.present(List.of(a));
    staffing.wants(wish("1", 2, 2));
    answer(a);
    answer(a);
    orders.clear();
    staffing.tick(Duration.ofSeconds(100));
    answer(a);
    staffing.tick(Duration.ofSeconds(399));
    answer(a);
    orders.clear();
    staffing.tick(Duration.ofSeconds(400));
    assertTrue(
        orders
            .getLast()
            .startsWith(
                "1 gives up: no worker joined in time: the job needs 2 workers, and after 300 s there is 1;"),
        orders::toString);
  }

  @Test
  void whatAJobLacksIsSaidWheneverThatChanges() {
    staffing.open();
    staffing.present(List.of(a));
    staffing.wants(wish("1", 2, 2));
    answer(a);
    answer(a);
    orders.clear();
    staffing.tick(Duration.ofSeconds(9));
    answer(a);
    expect("ask a");
    staffing.tick(Duration.ofSeconds(10));
    answer(a);
    expect(
        "1 lacks: it needs 2 workers, and there is 1 idle; more are started with 'ftcluster worker"
            + " --coordinator HOST:PORT'",
        "ask a");
    staffing.tick(Duration.ofSeconds(11));
    answer(a);
    expect("ask a");
    staffing.present(List.of());
    staffing.tick(Duration.ofSeconds(12));
    assertTrue(orders.getLast().contains("there are 0 idle"), orders::toString);
  }

  @Test
  void aJobWithoutAGpuSaysSoWhileOthersWorkOnWhatItCanNotUse() {
    staffing.open();
    staffing.present(List.of(a));
    staffing.wants(gpuWish("1"));
    staffing.wants(wish("2", 1, 1));
    orders.clear();
    answer(a);
    answer(a);
    expect("ask a", "2 gets [a]");
    staffing.tick(Duration.ofSeconds(100));
    answer(a, "TRAINING", "2");
    staffing.tick(Duration.ofSeconds(400));
    assertEquals(
        "1 gives up: no worker joined in time: the job needs 1 worker with a GPU, since its"
            + " resources.device is cuda, and after 300 s there are 0; start more with 'ftcluster"
            + " worker --coordinator HOST:PORT --gpus all'",
        orders.getLast());
  }

  @Test
  void aJobForGpusWaitsWhileAnotherWorksOnOne() {
    staffing.open();
    staffing.present(List.of(a));
    staffing.wants(wish("1", 1, 1));
    answerWithGpu(a);
    answerWithGpu(a);
    staffing.wants(gpuWish("2"));
    for (int second = 100; second <= 900; second += 400) {
      staffing.tick(Duration.ofSeconds(second));
      answerWithGpu(a);
    }
    assertTrue(orders.stream().noneMatch(order -> order.contains("gives up")), orders::toString);
    orders.clear();
    staffing.dismiss("1");
    staffing.tick(Duration.ofSeconds(901));
    answerWithGpu(a);
    expect("2 lacks: ", "ask a", "2 gets [a]");
  }

  @Test
  void workersOfAGenerationThatGoesOnAreTakenOverAndGivenToNobodyElse() {
    staffing.looksFor("1", 4);
    staffing.wants(wish("2", 1, 2));
    staffing.present(List.of(a, b));
    orders.clear();
    staffing.open();
    answer(a, "TRAINING", "1", 4);
    answer(b, "IDLE", "1", 3);
    expect("1 takes over a", "2 gets [b]");
  }

  @Test
  void aDismissedJobNeitherHasWorkersNorWaits() {
    staffing.open();
    staffing.present(List.of(a));
    answer(a);
    staffing.wants(wish("1", 1, 1));
    answer(a);
    staffing.dismiss("1");
    orders.clear();
    staffing.wants(wish("2", 1, 1));
    answer(a);
    expect("ask a", "2 gets [a]");
    assertEquals(List.of(new WorkerPool.Loss(a, "2")), staffing.present(List.of()));
  }
}
