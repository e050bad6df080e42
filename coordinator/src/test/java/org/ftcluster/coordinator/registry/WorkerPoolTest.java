package org.ftcluster.coordinator.registry;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.apache.pekko.actor.testkit.typed.javadsl.TestInbox;
import org.ftcluster.coordinator.job.Worker;
import org.ftcluster.protocol.message.WorkerCommand;
import org.ftcluster.protocol.message.WorkerDescription;
import org.junit.jupiter.api.Test;

class WorkerPoolTest {
  private final WorkerPool pool = new WorkerPool();
  private final Worker a = worker("a");
  private final Worker b = worker("b");

  @Test
  void onlyThoseThatAnsweredAreCandidates() {
    pool.listed(List.of(a, b));
    assertTrue(candidates().isEmpty());
    assertEquals(List.of(a, b), pool.beginRound());
    pool.answered(a, idle("a"));
    assertTrue(pool.isAsking());
    pool.silent(b);
    assertFalse(pool.isAsking());
    assertEquals(List.of(a), candidates());
    assertEquals("UNREACHABLE", lastState(a, () -> pool.silent(a)));
  }

  @Test
  void assignedWorkersAreNoCandidatesUntilTheyAreReleased() {
    answerAll();
    pool.assign("job-1", List.of(a));
    assertEquals(List.of(b), candidates());
    assertTrue(pool.othersWork(StaffedWorkers.wish("job-2", 1, 1)));
    assertFalse(pool.othersWork(StaffedWorkers.wish("job-1", 1, 1)));
    assertFalse(pool.othersWork(StaffedWorkers.gpuWish("job-2")));
    pool.release("job-1");
    assertEquals(List.of(a, b), candidates());
  }

  @Test
  void aWorkerThatIsGoneIsAJobsLoss() {
    answerAll();
    pool.assign("job-1", List.of(a));
    assertEquals(List.of(new WorkerPool.Loss(a, "job-1")), pool.listed(List.of(b)));
    assertEquals(List.of(), pool.listed(List.of()));
    assertEquals(List.of(), pool.descriptions());
  }

  @Test
  void aWorkerThatLeavesDoesNotHoldUpTheRound() {
    pool.listed(List.of(a, b));
    pool.beginRound();
    pool.answered(a, idle("a"));
    pool.listed(List.of(a));
    assertFalse(pool.isAsking());
    pool.answered(b, idle("b"));
    assertEquals(List.of(a), candidates());
  }

  private void answerAll() {
    pool.listed(List.of(a, b));
    pool.beginRound();
    pool.answered(a, idle("a"));
    pool.answered(b, idle("b"));
  }

  private List<Worker> candidates() {
    return pool.candidates().stream().map(Planner.Candidate::worker).toList();
  }

  private String lastState(Worker worker, Runnable change) {
    change.run();
    return pool.descriptions().stream()
        .filter(description -> description.node().equals(worker.node()))
        .findFirst()
        .orElseThrow()
        .state();
  }

  private static WorkerDescription idle(String node) {
    return new WorkerDescription(node, "h", 1, "cpu", "IDLE", "", -1, 0, 0);
  }

  private static Worker worker(String node) {
    return new Worker(node, TestInbox.<WorkerCommand>create().getRef());
  }
}
