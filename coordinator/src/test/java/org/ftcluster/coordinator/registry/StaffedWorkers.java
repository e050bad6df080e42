package org.ftcluster.coordinator.registry;

import static org.junit.jupiter.api.Assertions.assertEquals;

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

/** Two workers that answer as a test says, and what the staffing of jobs orders. */
abstract class StaffedWorkers implements Staffing.Orders {
  final List<String> orders = new ArrayList<>();
  final Staffing staffing = new Staffing(Patience.defaults(), job -> Integer.parseInt(job), this);
  final Worker a = worker("a");
  final Worker b = worker("b");

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
  public void lacks(String job, String what) {
    orders.add("%s lacks: %s".formatted(job, what));
  }

  @Override
  public void giveUp(String job, String reason) {
    orders.add("%s gives up: %s".formatted(job, reason));
  }

  void expect(String... expected) {
    assertEquals(List.of(expected), orders);
    orders.clear();
  }

  void answer(Worker worker) {
    answer(worker, "IDLE", "");
  }

  /** Of job 1, whose generation has ended. */
  void answerAsRank(Worker worker) {
    staffing.answered(
        worker,
        Optional.of(new WorkerDescription(worker.node(), "h", 1, "cpu", "IDLE", "1", -1, 3, 0)));
  }

  void answer(Worker worker, String state, String job) {
    answer(worker, state, job, 0);
  }

  void answer(Worker worker, String state, String job, long generation) {
    staffing.answered(
        worker,
        Optional.of(
            new WorkerDescription(worker.node(), "h", 1, "cpu", state, job, -1, generation, 0)));
  }

  /** It has a GPU and nothing to do. */
  void answerWithGpu(Worker worker) {
    staffing.answered(
        worker,
        Optional.of(new WorkerDescription(worker.node(), "h", 1, "cuda:0", "IDLE", "", -1, 0, 0)));
  }

  static WantsWorkers gpuWish(String job) {
    return new WantsWorkers(job, new WorkerDemand(1, 1, 1, true), false);
  }

  static WantsWorkers wish(String job, int min, int max) {
    return new WantsWorkers(job, new WorkerDemand(min, max), false);
  }

  static Worker worker(String node) {
    return new Worker(node, TestInbox.<WorkerCommand>create().getRef());
  }
}
