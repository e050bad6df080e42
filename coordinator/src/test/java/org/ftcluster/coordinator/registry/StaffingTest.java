package org.ftcluster.coordinator.registry;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.apache.pekko.actor.testkit.typed.javadsl.TestInbox;
import org.ftcluster.coordinator.job.JobSignal.WantsWorkers;
import org.ftcluster.coordinator.job.Patience;
import org.ftcluster.coordinator.job.Worker;
import org.ftcluster.coordinator.job.WorkerDemand;
import org.ftcluster.protocol.message.WorkerCommand;
import org.ftcluster.protocol.message.WorkerDescription;
import org.junit.jupiter.api.Test;

class StaffingTest implements Staffing.Orders {
  private final List<String> orders = new ArrayList<>();
  private final Staffing staffing =
      new Staffing(Patience.defaults(), job -> Integer.parseInt(job), this);
  private final Worker a = worker("a");
  private final Worker b = worker("b");

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

  /** Rank 0 of job 1 was on a, and doesn't answer any more; b is there, and idle. */
  private void recoverWithoutItsRank() {
    staffing.open();
    staffing.tick(Duration.ZERO);
    staffing.present(List.of(a, b));
    answerAsRank(a);
    answer(b);
    staffing.wants(new WantsWorkers("1", new WorkerDemand(1, 2), true));
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
                "1 gives up: no worker joined in time: the job needs 2, and after 300 s there is 1;"),
        orders::toString);
  }

  @Test
  void aWorkerThatJoinsLoadsTheJobThatRunsAndThenTheJobGrows() {
    staffing.open();
    staffing.present(List.of(a));
    answer(a);
    staffing.wants(wish("1", 1, 2));
    staffing.demands("1", new WorkerDemand(1, 2));
    answer(a);
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
  void aWorkerThatCannotLoadIsAskedAgainAfterAWhile() {
    staffing.open();
    staffing.present(List.of(a));
    answer(a);
    staffing.wants(wish("1", 1, 2));
    staffing.demands("1", new WorkerDemand(1, 2));
    answer(a);
    staffing.present(List.of(a, b));
    for (int second = 0; second <= 30; second++) {
      staffing.tick(Duration.ofSeconds(second));
      orders.clear();
      answer(a);
      answer(b);
      assertEquals(second % 30 == 0, orders.contains("b loads 1"), "second " + second);
    }
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

  @Override
  public void ask(Worker worker) {
    orders.add("ask " + worker.node());
  }

  @Override
  public void assign(String job, List<Worker> workers) {
    orders.add("%s gets %s".formatted(job, workers.stream().map(Worker::node).toList()));
  }

  @Override
  public void lose(String job, Worker worker, String why) {
    orders.add("%s loses %s, which %s".formatted(job, worker.node(), why));
  }

  @Override
  public void load(String job, Worker worker) {
    orders.add("%s loads %s".formatted(worker.node(), job));
  }

  @Override
  public void takeOver(String job, Worker worker) {
    orders.add("%s takes over %s".formatted(job, worker.node()));
  }

  @Override
  public void grow(String job) {
    orders.add(job + " grows");
  }

  @Override
  public void giveUp(String job, String reason) {
    orders.add("%s gives up: %s".formatted(job, reason));
  }

  private void expect(String... expected) {
    assertEquals(List.of(expected), orders);
    orders.clear();
  }

  private void answer(Worker worker) {
    answer(worker, "IDLE", "");
  }

  /** Of job 1, whose generation has ended. */
  private void answerAsRank(Worker worker) {
    staffing.answered(
        worker,
        Optional.of(new WorkerDescription(worker.node(), "h", 1, "cpu", "IDLE", "1", -1, 3, 0)));
  }

  private void answer(Worker worker, String state, String job) {
    answer(worker, state, job, 0);
  }

  private void answer(Worker worker, String state, String job, long generation) {
    staffing.answered(
        worker,
        Optional.of(
            new WorkerDescription(worker.node(), "h", 1, "cpu", state, job, -1, generation, 0)));
  }

  private static WantsWorkers wish(String job, int min, int max) {
    return new WantsWorkers(job, new WorkerDemand(min, max), false);
  }

  private static Worker worker(String node) {
    return new Worker(node, TestInbox.<WorkerCommand>create().getRef());
  }
}
