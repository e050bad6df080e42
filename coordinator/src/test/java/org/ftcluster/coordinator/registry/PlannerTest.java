package org.ftcluster.coordinator.registry;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.apache.pekko.actor.testkit.typed.javadsl.TestInbox;
import org.ftcluster.coordinator.job.JobSignal.WantsWorkers;
import org.ftcluster.coordinator.job.Worker;
import org.ftcluster.coordinator.job.WorkerDemand;
import org.ftcluster.coordinator.registry.Planner.Candidate;
import org.ftcluster.protocol.message.WorkerCommand;
import org.junit.jupiter.api.Test;

class PlannerTest {
  private final Map<String, Worker> workers = new HashMap<>();

  @Test
  void aJobGetsAsManyAsItCanUse() {
    assertEquals(
        Map.of("a", List.of("w1", "w2", "w3")),
        assign(List.of(wish("a", 1, 3)), idle("w4", "w2", "w1", "w3")));
    assertEquals(Map.of("a", List.of("w1")), assign(List.of(wish("a", 1, 3)), idle("w1")));
  }

  @Test
  void aJobWaitsForAsManyAsItNeeds() {
    assertEquals(Map.of(), assign(List.of(wish("a", 2, 3)), idle("w1")));
  }

  @Test
  void jobsShareInTheOrderTheyWaitIn() {
    assertEquals(
        Map.of("a", List.of("w1", "w2"), "b", List.of("w3")),
        assign(List.of(wish("a", 1, 2), wish("b", 1, 2)), idle("w1", "w2", "w3")));
  }

  @Test
  void nobodyOvertakesAJobThatWaits() {
    assertEquals(
        Map.of(), assign(List.of(wish("large", 3, 3), wish("small", 1, 1)), idle("w1", "w2")));
  }

  @Test
  void workersThatHoldTheJobsStateComeFirst() {
    List<Candidate> idle = idle("w1", "w2");
    idle.add(new Candidate(worker("w3"), "a"));
    assertEquals(Map.of("a", List.of("w3", "w1")), assign(List.of(wish("a", 1, 2)), idle));
  }

  @Test
  void aJobGetsWorkersThatItShunsOnlyWhereThereAreTooFewOthers() {
    List<Candidate> idle = idle("w2", "w3");
    idle.add(new Candidate(worker("w1"), false, "a", Set.of("a")));
    assertEquals(Map.of("a", List.of("w2", "w3")), assign(List.of(wish("a", 2, 3)), idle));
    assertEquals(Map.of("a", List.of("w1", "w2", "w3")), assign(List.of(wish("a", 3, 3)), idle));
    assertEquals(Map.of("b", List.of("w1", "w2", "w3")), assign(List.of(wish("b", 2, 3)), idle));
    Planner.Growth growth =
        Planner.grow(List.of(new Planner.Staffed("a", 1, new WorkerDemand(1, 4))), idle);
    assertEquals(Set.of(), growth.grow());
    assertEquals(Set.of(worker("w2"), worker("w3")), growth.load().keySet());
  }

  @Test
  void aJobThatRecoversDoesNotWaitForWorkersThatHaveYetToLoadIt() {
    List<Candidate> idle = idle("w1", "w2");
    idle.add(new Candidate(worker("w3"), "a"));
    assertEquals(
        Map.of("a", List.of("w3")),
        assign(List.of(new WantsWorkers("a", new WorkerDemand(1, 3), true)), idle));
    assertEquals(
        Map.of("a", List.of("w3", "w1", "w2")),
        assign(List.of(new WantsWorkers("a", new WorkerDemand(2, 3), true)), idle));
  }

  @Test
  void aModelInPartsGetsWholeCopiesOfItself() {
    var wish = new WantsWorkers("a", new WorkerDemand(2, 6, 2), true);
    assertEquals(Map.of("a", List.of("w1", "w2")), assign(List.of(wish), idle("w1", "w2", "w3")));
    assertEquals(Map.of(), assign(List.of(wish), idle("w1")));
    var staffed = List.of(new Planner.Staffed("a", 2, wish.demand()));
    assertEquals(Map.of(), Planner.grow(staffed, idle("w3")).load());
    assertEquals(
        Set.of(worker("w3"), worker("w4")),
        Planner.grow(staffed, idle("w3", "w4", "w5")).load().keySet());
    List<Candidate> ready = idle("w4");
    ready.add(new Candidate(worker("w3"), "a"));
    assertEquals(Set.of(), Planner.grow(staffed, ready).grow());
    ready.set(0, new Candidate(worker("w4"), "a"));
    assertEquals(Set.of("a"), Planner.grow(staffed, ready).grow());
  }

  @Test
  void aJobForGpusGetsNoOthersAndOnesForCpusGetThoseThatTheyNeed() {
    List<Candidate> idle = idle("w3", "w2");
    idle.add(gpu("w1"));
    assertEquals(Map.of("a", List.of("w1")), assign(List.of(gpuWish("a", 1, 3)), idle));
    assertEquals(Map.of("a", List.of("w2", "w3")), assign(List.of(wish("a", 1, 2)), idle));
    assertEquals(Map.of("a", List.of("w2", "w3")), assign(List.of(wish("a", 1, 3)), idle));
    assertEquals(Map.of("a", List.of("w2", "w3", "w1")), assign(List.of(wish("a", 3, 3)), idle));
    idle.add(gpu("w4"));
    assertEquals(Map.of("a", List.of("w2", "w3", "w1")), assign(List.of(wish("a", 3, 4)), idle));
    idle.add(new Candidate(worker("w5"), true, "a", Set.of()));
    assertEquals(Map.of("a", List.of("w5", "w2", "w3")), assign(List.of(wish("a", 1, 4)), idle));
  }

  @Test
  void whatAJobThatWaitsCanNotUseIsForTheNext() {
    List<Candidate> idle = idle("w2", "w3");
    idle.add(gpu("w1"));
    assertEquals(
        Map.of("b", List.of("w2", "w3")),
        assign(List.of(gpuWish("a", 2, 2), wish("b", 1, 3), gpuWish("c", 1, 1)), idle));
    assertEquals(Map.of(), assign(List.of(wish("a", 4, 4), gpuWish("b", 1, 1)), idle));
  }

  @Test
  void aJobForGpusGrowsByThoseAlone() {
    List<Candidate> idle = idle("w1");
    idle.add(gpu("w2"));
    var forGpus = new Planner.Staffed("a", 1, new WorkerDemand(1, 4, 1, true));
    assertEquals(Set.of(worker("w2")), Planner.grow(List.of(forGpus), idle).load().keySet());
    var forAny = new Planner.Staffed("a", 1, new WorkerDemand(1, 8));
    assertEquals(Set.of(worker("w1")), Planner.grow(List.of(forAny), idle).load().keySet());
  }

  @Test
  void nobodyWorksTwiceAndEveryJobGetsWhatItAskedFor() {
    Random random = new Random(42);
    for (int round = 0; round < 500; round++) {
      List<Candidate> idle = new ArrayList<>();
      for (int i = random.nextInt(12); i > 0; i--) {
        idle.add(new Candidate(worker("w" + i), random.nextBoolean() ? "" : "job" + i % 3));
      }
      List<WantsWorkers> waiting = new ArrayList<>();
      for (int i = random.nextInt(5); i > 0; i--) {
        int min = 1 + random.nextInt(4);
        waiting.add(wish("job" + i, min, min + random.nextInt(4)));
      }
      Map<String, List<String>> assigned = assign(waiting, idle);
      Set<String> working = new HashSet<>();
      boolean someoneWaits = false;
      for (WantsWorkers wish : waiting) {
        List<String> given = assigned.getOrDefault(wish.job(), List.of());
        someoneWaits |= given.isEmpty();
        assertTrue(given.isEmpty() == someoneWaits, "in order");
        assertTrue(given.isEmpty() || given.size() >= wish.demand().min());
        assertTrue(given.size() <= wish.demand().max());
        given.forEach(node -> assertTrue(working.add(node), node + " works twice"));
      }
    }
  }

  private static Map<String, List<String>> assign(
      List<WantsWorkers> waiting, List<Candidate> idle) {
    Map<String, List<String>> nodes = new HashMap<>();
    Planner.assign(waiting, idle)
        .forEach((job, given) -> nodes.put(job, given.stream().map(Worker::node).toList()));
    return nodes;
  }

  private static WantsWorkers wish(String job, int min, int max) {
    return new WantsWorkers(job, new WorkerDemand(min, max), false);
  }

  private static WantsWorkers gpuWish(String job, int min, int max) {
    return new WantsWorkers(job, new WorkerDemand(min, max, 1, true), false);
  }

  private Candidate gpu(String node) {
    return new Candidate(worker(node), true, "", Set.of());
  }

  private List<Candidate> idle(String... nodes) {
    List<Candidate> idle = new ArrayList<>();
    for (String node : nodes) {
      idle.add(new Candidate(worker(node), ""));
    }
    return idle;
  }

  private Worker worker(String node) {
    return workers.computeIfAbsent(
        node, name -> new Worker(name, TestInbox.<WorkerCommand>create().getRef()));
  }
}
