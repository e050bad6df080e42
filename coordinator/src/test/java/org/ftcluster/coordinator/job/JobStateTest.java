package org.ftcluster.coordinator.job;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import org.ftcluster.protocol.message.RankReport.TrainingResult;
import org.junit.jupiter.api.Test;

class JobStateTest {
  /** The whole table; whatever isn't here can't happen. */
  private static final List<String> TABLE =
      List.of(
          "SUBMITTED Queued QUEUED",
          "SUBMITTED Cancelled CANCELLED",
          "QUEUED GenerationPlanned STARTING",
          "QUEUED Scaled QUEUED",
          "QUEUED Paused PAUSED",
          "QUEUED Failed FAILED",
          "QUEUED Cancelled CANCELLED",
          "STARTING GenerationStarted RUNNING",
          "STARTING GenerationLost RECOVERING",
          "STARTING Scaled STARTING",
          "STARTING Paused PAUSED",
          "STARTING Failed FAILED",
          "STARTING Cancelled CANCELLED",
          "RUNNING GenerationLost RECOVERING",
          "RUNNING GenerationHandedOver RECOVERING",
          "RUNNING Scaled RUNNING",
          "RUNNING Paused PAUSED",
          "RUNNING Succeeded SUCCEEDED",
          "RUNNING Failed FAILED",
          "RUNNING Cancelled CANCELLED",
          "RECOVERING GenerationPlanned RECOVERING",
          "RECOVERING GenerationStarted RUNNING",
          "RECOVERING GenerationLost RECOVERING",
          "RECOVERING Scaled RECOVERING",
          "RECOVERING Paused PAUSED",
          "RECOVERING Failed FAILED",
          "RECOVERING Cancelled CANCELLED",
          "PAUSED Scaled PAUSED",
          "PAUSED Resumed QUEUED",
          "PAUSED Cancelled CANCELLED");

  @Test
  void everyTransitionOfTheTableAndNoOtherIsAllowed() {
    Set<String> allowed = new TreeSet<>();
    for (JobState state : JobState.values()) {
      for (JobEvent event : eventsOfGeneration(1)) {
        if (state.allows(event.getClass())) {
          allowed.add(transition(state, event));
        } else {
          IllegalStateException refused =
              assertThrows(IllegalStateException.class, () -> state.after(event));
          assertTrue(refused.getMessage().contains(state.name()), refused.getMessage());
        }
      }
    }
    assertEquals(new TreeSet<>(TABLE), allowed);
  }

  @Test
  void anyOrderOfEventsLeadsAlongTheTableToAnEnd() {
    Random random = new Random(42);
    Set<String> visited = new TreeSet<>();
    for (int life = 0; life < 5_000; life++) {
      JobRecord job = JobRecord.submitted("job-1", submitted());
      long generation = 0;
      while (!job.state().isTerminal()) {
        JobRecord before = job;
        List<JobEvent> possible =
            eventsOfGeneration(before.generation() + 1).stream()
                .filter(event -> before.state().allows(event.getClass()))
                .toList();
        JobEvent event = possible.get(random.nextInt(possible.size()));
        visited.add(transition(before.state(), event));
        job = before.after(event);
        assertTrue(job.generation() >= generation, "generations only grow");
        generation = job.generation();
        assertFalse(
            job.state().isTerminal() && !job.workers().isEmpty(), "an ended job holds no workers");
      }
      for (JobEvent event : eventsOfGeneration(generation + 1)) {
        JobRecord ended = job;
        assertThrows(IllegalStateException.class, () -> ended.after(event));
      }
    }
    assertEquals(new TreeSet<>(TABLE), visited);
  }

  @Test
  void aGenerationIsNewerThanTheLast() {
    JobRecord job =
        JobRecord.submitted("job-1", submitted())
            .after(new JobEvent.Queued())
            .after(new JobEvent.GenerationPlanned(4, List.of("a:1")))
            .after(new JobEvent.GenerationLost(4, 0, "lost"));
    assertThrows(
        IllegalStateException.class,
        () -> job.after(new JobEvent.GenerationPlanned(4, List.of("a:1"))));
  }

  @Test
  void everyEventIsTested() {
    Set<Class<?>> tested = new HashSet<>();
    eventsOfGeneration(1).forEach(event -> tested.add(event.getClass()));
    assertEquals(new HashSet<>(Arrays.asList(JobEvent.class.getPermittedSubclasses())), tested);
  }

  private static String transition(JobState state, JobEvent event) {
    return "%s %s %s".formatted(state, event.getClass().getSimpleName(), state.after(event));
  }

  private static JobEvent.Submitted submitted() {
    return new JobEvent.Submitted("name", "yaml", new WorkerDemand(1, 2));
  }

  private static List<JobEvent> eventsOfGeneration(long generation) {
    return new ArrayList<>(
        List.of(
            submitted(),
            new JobEvent.Queued(),
            new JobEvent.GenerationPlanned(generation, List.of("a:1", "b:2")),
            new JobEvent.GenerationStarted(generation, 3, 10),
            new JobEvent.GenerationLost(generation, 4, "a rank was lost"),
            new JobEvent.GenerationHandedOver(generation, 4, "more workers"),
            new JobEvent.Scaled(2),
            new JobEvent.Paused(5),
            new JobEvent.Resumed(),
            new JobEvent.Succeeded(new TrainingResult(10, 10, 2, 1, "/a", "ab", 1, 1, 1)),
            new JobEvent.Failed(6, "bad"),
            new JobEvent.Cancelled(7)));
  }
}
