package org.ftcluster.coordinator.registry;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.List;
import org.ftcluster.coordinator.job.JobSignal.WantsWorkers;
import org.ftcluster.coordinator.job.WorkerDemand;
import org.junit.jupiter.api.Test;

class JobQueueTest {
  private static final Duration PATIENCE = Duration.ofSeconds(10);

  private final JobQueue queue = new JobQueue(job -> Integer.parseInt(job));

  @Test
  void firstComeThoseThatRecoverThenTheOthersByAge() {
    add("4", false);
    add("2", false);
    add("3", true);
    add("1", true);
    assertEquals(List.of("1", "3", "2", "4"), order());
    queue.remove("3");
    add("2", true);
    assertEquals(List.of("1", "2", "4"), order());
  }

  @Test
  void theFirstIsOverdueWhenItWaitedLongEnoughForNobody() {
    add("1", false);
    assertTrue(overdue(0, false).isEmpty());
    assertTrue(overdue(9, false).isEmpty());
    assertEquals(List.of("1"), overdue(10, false));
  }

  @Test
  void waitingForOtherJobsDoesNotCount() {
    add("1", false);
    assertTrue(overdue(0, true).isEmpty());
    assertTrue(overdue(30, true).isEmpty());
    assertTrue(overdue(39, false).isEmpty());
    assertEquals(List.of("1"), overdue(40, false));
  }

  @Test
  void aJobThatRecoversWaitsAsLongAsItTakes() {
    add("1", true);
    assertTrue(overdue(0, false).isEmpty());
    assertTrue(overdue(3_600, false).isEmpty());
  }

  @Test
  void eachJobWaitsAnew() {
    add("1", false);
    overdue(0, false);
    queue.remove("1");
    add("1", true);
    assertTrue(overdue(15, false).isEmpty());
    queue.remove("1");
    add("2", false);
    assertTrue(overdue(26, false).isEmpty());
    assertEquals(List.of("2"), overdue(36, false));
  }

  private void add(String job, boolean recovering) {
    queue.add(new WantsWorkers(job, new WorkerDemand(1, 1), recovering));
  }

  private List<String> order() {
    return queue.inOrder().stream().map(WantsWorkers::job).toList();
  }

  private List<String> overdue(long seconds, boolean othersWork) {
    return queue.overdue(Duration.ofSeconds(seconds), othersWork, PATIENCE).stream()
        .map(WantsWorkers::job)
        .toList();
  }
}
