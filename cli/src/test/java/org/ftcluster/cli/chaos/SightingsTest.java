package org.ftcluster.cli.chaos;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import org.ftcluster.cli.chaos.Cut.Direction;
import org.ftcluster.protocol.api.JobSummary;
import org.ftcluster.protocol.api.JobUpdate;
import org.ftcluster.protocol.api.StepMetrics;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What is noticed of a job, from the coordinator and from its own lines. */
class SightingsTest {
  private final AtomicLong clock = new AtomicLong();
  private final Sightings sightings = new Sightings(clock::incrementAndGet);

  @TempDir private Path folder;

  @Test
  void aStepIsSeenOnceWhoeverTellsOfIt() throws Exception {
    Path file = folder.resolve("metrics.jsonl");
    MetricsTail tail = new MetricsTail(file, sightings);
    tail.poll();
    Files.writeString(file, line(1, 1) + line(2, 1) + "{\"step\":3,\"gen");
    tail.poll();
    sightings.update(
        update("RUNNING", "")
            .setStep(StepMetrics.newBuilder().setStep(2).setGeneration(1))
            .build());

    assertEquals(List.of(1L, 2L), steps());

    Files.writeString(file, "eration\":1,\"workers\":2}\n", StandardOpenOption.APPEND);
    tail.poll();
    assertEquals(List.of(1L, 2L, 3L), steps());
  }

  @Test
  void theFileOfANewerGenerationIsReadFromItsBeginning() throws Exception {
    Path file = folder.resolve("metrics.jsonl");
    MetricsTail tail = new MetricsTail(file, sightings);
    Files.writeString(file, line(1, 1) + line(2, 1) + line(3, 1));
    tail.poll();
    Path next = folder.resolve("next");
    Files.writeString(next, line(1, 1) + line(2, 1) + line(3, 2));
    Files.move(next, file, StandardCopyOption.ATOMIC_MOVE);
    tail.poll();

    assertEquals(List.of(1L, 2L, 3L, 3L), steps());
    assertEquals(2, sightings.newestGeneration());
  }

  @Test
  void aGenerationThatEndsAsAnnouncedIsNotLost() {
    sightings.update(update("RUNNING", "").build());
    sightings.update(
        update("RUNNING", "")
            .setNote("The workers change after this step: there are more workers.")
            .build());
    sightings.update(update("RECOVERING", "there are more workers").build());
    assertEquals(List.of(), sightings.losses());

    sightings.update(update("RUNNING", "").build());
    sightings.update(update("RECOVERING", "lost rank 1").build());
    sightings.update(update("RECOVERING", "lost rank 1").build());
    assertEquals(1, sightings.losses().size());
  }

  @Test
  void theCoordinatorMustBeHeardFor() {
    sightings.update(update("RUNNING", "").build());
    assertTrue(sightings.isRunningSince(0));
    assertFalse(sightings.isRunningSince(clock.get()));
  }

  @Test
  void aPartitionMayGoOneWay() {
    assertEquals(
        List.of(new Direction(2, 3), new Direction(2, 0)), Cut.MUTE.directions(2, List.of(3)));
    assertEquals(
        List.of(new Direction(3, 2), new Direction(0, 2)), Cut.DEAF.directions(2, List.of(3)));
    assertEquals(
        List.of(new Direction(2, 0), new Direction(0, 2)),
        Cut.FROM_COORDINATOR.directions(2, List.of(3)));
    assertEquals(List.of(), Cut.MUTE_TO_ONE.directions(2, List.of()));
  }

  private List<Long> steps() {
    return sightings.steps().stream().map(Sightings.Step::step).toList();
  }

  private static String line(long step, long generation) {
    return "{\"step\":%d,\"generation\":%d,\"workers\":2}%n".formatted(step, generation);
  }

  private static JobUpdate.Builder update(String state, String reason) {
    return JobUpdate.newBuilder()
        .setJob(JobSummary.newBuilder().setState(state).setReason(reason).setGeneration(1));
  }
}
