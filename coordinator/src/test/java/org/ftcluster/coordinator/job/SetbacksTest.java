package org.ftcluster.coordinator.job;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class SetbacksTest {
  private final Setbacks setbacks = new Setbacks(Duration.ofSeconds(1));

  @Test
  void aRankThatFailsAgainAndAgainIsTriedLessAndLessOftenAndThenNoMore() {
    List<Long> waits = new ArrayList<>();
    Optional<String> tooMuch = setbacks.workerError("rank 1 on b:2", "out of memory");
    while (tooMuch.isEmpty()) {
      waits.add(setbacks.backOff().toSeconds());
      tooMuch = setbacks.workerError("rank 1 on b:2", "out of memory");
    }
    assertEquals(List.of(1L, 4L, 16L), waits);
    assertEquals(
        "out of memory (rank 1 on b:2; 4 errors without a completed step between them)",
        tooMuch.orElseThrow());
  }

  @Test
  void workersThatAreLostOneAfterAnotherCostNoWaitAtFirst() {
    List<Long> waits = new ArrayList<>();
    while (setbacks.generationLost("rank 1 was lost").isEmpty()) {
      waits.add(setbacks.backOff().toSeconds());
    }
    assertEquals(List.of(0L, 0L, 0L, 1L, 2L, 4L, 8L, 16L, 16L), waits);
  }

  @Test
  void aCompletedStepForgetsThemAll() {
    setbacks.workerError("rank 0", "x");
    setbacks.stepCompleted();
    assertEquals(Duration.ZERO, setbacks.backOff());
    assertTrue(setbacks.workerError("rank 0", "x").isEmpty());
  }
}
