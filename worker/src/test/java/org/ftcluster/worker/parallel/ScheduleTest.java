package org.ftcluster.worker.parallel;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.ftcluster.worker.parallel.Schedule.Turn;
import org.ftcluster.worker.parallel.Schedule.Turn.Backward;
import org.ftcluster.worker.parallel.Schedule.Turn.Forward;
import org.ftcluster.worker.parallel.ScheduleTimes.Costs;
import org.junit.jupiter.api.Test;

class ScheduleTest {
  @Test
  void aStageFillsThoseBehindItThenTakesTurns() {
    assertEquals(
        List.of(
            new Forward(0),
            new Forward(1),
            new Forward(2),
            new Backward(0),
            new Forward(3),
            new Backward(1),
            new Backward(2),
            new Backward(3)),
        Schedule.of(0, 3, 4));
    assertEquals(
        List.of(new Forward(0), new Backward(0), new Forward(1), new Backward(1)),
        Schedule.of(2, 3, 2));
  }

  @Test
  void everyMicroBatchGoesForwardThenBackwardOnceInOrder() {
    for (int stages = 1; stages <= 5; stages++) {
      for (int microBatches = 0; microBatches <= 7; microBatches++) {
        for (int stage = 0; stage < stages; stage++) {
          List<Integer> forward = new ArrayList<>();
          List<Integer> backward = new ArrayList<>();
          Set<Integer> held = new HashSet<>();
          int most = 0;
          for (Turn turn : Schedule.of(stage, stages, microBatches)) {
            switch (turn) {
              case Forward f -> {
                forward.add(f.microBatch());
                held.add(f.microBatch());
                most = Math.max(most, held.size());
              }
              case Backward b -> {
                backward.add(b.microBatch());
                assertTrue(held.remove(b.microBatch()), "a backward comes after its forward");
              }
            }
          }
          assertEquals(microBatches, forward.size());
          assertEquals(forward, backward);
          assertEquals(forward.stream().sorted().toList(), forward);
          assertEquals(Schedule.inFlight(stage, stages, microBatches), most);
          assertTrue(most <= stages - stage, "no more in flight than there are stages behind");
        }
      }
    }
  }

  @Test
  void theBubbleIsThatOfThePaper() {
    for (int stages = 1; stages <= 6; stages++) {
      for (int microBatches = 1; microBatches <= 12; microBatches++) {
        ScheduleTimes times = ScheduleTimes.of(even(stages, 1, 2, 0), microBatches);
        assertEquals(3.0 * (microBatches + stages - 1), times.seconds(), 1e-9);
        assertEquals((stages - 1.0) / (microBatches + stages - 1), times.bubble(), 1e-9);
      }
    }
  }

  @Test
  void theSlowestStageSetsThePaceOfALongStep() {
    ScheduleTimes times =
        ScheduleTimes.of(new Costs(List.of(1.0, 3.0), List.of(2.0, 6.0), 0), 1000);
    assertEquals(9 * 1000, times.seconds(), 10);
  }

  @Test
  void transfersOnTheWayDelayWhatWaitsForThem() {
    assertEquals(2 * (1 + 2) + 2 * 0.5, ScheduleTimes.of(even(2, 1, 2, 0.5), 1).seconds(), 1e-9);
  }

  private static Costs even(int stages, double forward, double backward, double transfer) {
    return new Costs(
        Collections.nCopies(stages, forward), Collections.nCopies(stages, backward), transfer);
  }
}
