package org.ftcluster.coordinator.registry;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.List;
import java.util.Optional;
import org.ftcluster.coordinator.job.JobSignal.WantsWorkers;
import org.ftcluster.coordinator.job.WorkerDemand;
import org.junit.jupiter.api.Test;

/** Workers that are silent, lost or left out. */
class StaffingLossTest extends StaffedWorkers {
  @Test
  void aJobThatRecoversDoesNotWaitForAWorkerThatIsSlowToAnswer() {
    staffing.open();
    staffing.present(List.of(a, b));
    staffing.wants(new WantsWorkers("1", new WorkerDemand(1, 2), true));
    answer(a);
    answer(b);
    orders.clear();
    answer(a);
    staffing.answered(b, Optional.empty());
    expect("1 gets [a]");
  }

  @Test
  void aJobWhoseStateIsWithASilentWorkerAloneWaitsForItAWhile() {
    recoverWithoutItsRank();
    for (int second = 1; second <= 10; second++) {
      orders.clear();
      staffing.answered(a, Optional.empty());
      answer(b);
      assertTrue(orders.stream().noneMatch(order -> order.contains("gets")), orders::toString);
      staffing.tick(Duration.ofSeconds(second));
    }
    orders.clear();
    staffing.answered(a, Optional.empty());
    answer(b);
    expect("1 gets [b]");
  }

  @Test
  void oneThatAnswersAgainIsThere() {
    recoverWithoutItsRank();
    staffing.answered(a, Optional.empty());
    answer(b);
    staffing.tick(Duration.ofSeconds(1));
    orders.clear();
    answerAsRank(a);
    answer(b);
    expect("1 gets [a]");
  }

  @Test
  void oneWhoseProcessHasEndedIsNotWaitedFor() {
    recoverWithoutItsRank();
    orders.clear();
    staffing.gone(a);
    answer(b);
    expect("1 gets [b]");
  }

  @Test
  void aJobLosesAWorkerWhoseProcessHasEndedAtOnce() {
    staffing.open();
    staffing.wants(wish("1", 1, 2));
    staffing.present(List.of(a, b));
    answer(a);
    answer(b);
    expect("ask a", "ask b", "1 gets [a, b]");
    staffing.tick(Duration.ofSeconds(1));
    staffing.gone(a);
    answer(b, "RUNNING", "1");
    expect("ask a", "ask b", "1 loses a, which has ended");
  }

  @Test
  void aVerdictOfTheClusterCountsOnce() {
    staffing.open();
    staffing.wants(wish("1", 1, 2));
    staffing.present(List.of(a, b));
    answer(a);
    answer(b);
    orders.clear();
    staffing.unreachable("a");
    staffing.unreachable("a");
    staffing.unreachable("nobody");
    expect("1 loses a, which sends no heartbeats any more");
  }

  @Test
  void aWorkerThatFailsAJobIsLeftOutForTenMinutes() {
    staffing.open();
    staffing.tick(Duration.ZERO);
    staffing.present(List.of(a, b));
    answer(a);
    answer(b);
    answer(a);
    answer(b);
    staffing.wants(new WantsWorkers("1", new WorkerDemand(1, 2), true));
    staffing.shuns("1", "a");
    orders.clear();
    answer(a);
    answer(b);
    expect("1 gets [b]");
    staffing.demands("1", new WorkerDemand(1, 2));
    staffing.tick(Duration.ofMinutes(9));
    answer(a);
    answer(b, "TRAINING", "1");
    expect("ask a", "ask b");
    staffing.tick(Duration.ofMinutes(10));
    answer(a);
    answer(b, "TRAINING", "1");
    expect("ask a", "ask b", "a loads 1");
  }

  @Test
  void aWorkerThatDoesNotAnswerForLongIsLostThoughItIsAMember() {
    staffing.open();
    staffing.present(List.of(a));
    answer(a);
    staffing.wants(wish("1", 1, 1));
    answer(a);
    for (int round = 1; round <= 6; round++) {
      staffing.tick(Duration.ofSeconds(round));
      orders.clear();
      staffing.answered(a, Optional.empty());
      assertEquals(
          round == 5 ? List.of("1 loses a, which doesn't answer") : List.of(),
          orders,
          "round " + round);
    }
  }

  /** Rank 0 of job 1 was on a, and doesn't answer any more; b is there, and idle. */
  private void recoverWithoutItsRank() {
    staffing.open();
    staffing.tick(Duration.ZERO);
    staffing.present(List.of(a, b));
    answerAsRank(a);
    answer(b);
    staffing.wants(new WantsWorkers("1", new WorkerDemand(1, 2), true));
  }
}
