package org.ftcluster.worker.parallel;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.ftcluster.worker.parallel.Schedule.Message;
import org.ftcluster.worker.parallel.Schedule.Turn;
import org.ftcluster.worker.parallel.Schedule.Turn.Backward;
import org.ftcluster.worker.parallel.Schedule.Turn.Forward;
import org.ftcluster.worker.parallel.ScheduleTimes.Cost;
import org.ftcluster.worker.parallel.ScheduleTimes.Costs;
import org.junit.jupiter.api.Test;

class ScheduleTest {
  @Test
  void aStageFillsThoseBehindItThenTakesTurns() {
    assertEquals(
        List.of(
            new Forward(0, 0),
            new Forward(1, 0),
            new Forward(2, 0),
            new Backward(0, 0),
            new Forward(3, 0),
            new Backward(1, 0),
            new Backward(2, 0),
            new Backward(3, 0)),
        new Schedule(3, 1, 4).turns(0));
    assertEquals(
        List.of(new Forward(0, 0), new Backward(0, 0), new Forward(1, 0), new Backward(1, 0)),
        new Schedule(3, 1, 2).turns(2));
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
          for (Turn turn : new Schedule(stages, 1, microBatches).turns(stage)) {
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
          assertEquals(new Schedule(stages, 1, microBatches).inFlight(stage), most);
          assertTrue(most <= stages - stage, "no more in flight than there are stages behind");
        }
      }
    }
  }

  @Test
  void theBubbleIsThatOfThePaper() {
    for (int stages = 1; stages <= 6; stages++) {
      for (int microBatches = 1; microBatches <= 12; microBatches++) {
        ScheduleTimes times =
            ScheduleTimes.of(even(stages, 1, 2, 0), new Schedule(stages, 1, microBatches));
        assertEquals(3.0 * (microBatches + stages - 1), times.seconds(), 1e-9);
        assertEquals((stages - 1.0) / (microBatches + stages - 1), times.bubble(), 1e-9);
      }
    }
  }

  @Test
  void chunksShortenTheBubbleAsThePaperSays() {
    for (int stages = 2; stages <= 5; stages++) {
      for (int chunks = 2; chunks <= 4; chunks++) {
        for (int microBatches = stages; microBatches <= 13; microBatches++) {
          Schedule schedule = new Schedule(stages, chunks, microBatches);
          Costs costs = even(stages * chunks, 1.0 / chunks, 2.0 / chunks, 0);
          assertEquals(
              (stages - 1.0) / (chunks * microBatches + stages - 1),
              ScheduleTimes.of(costs, schedule).bubble(),
              1e-9,
              schedule.toString());
        }
      }
    }
  }

  @Test
  void everyMicroBatchGoesOnceThroughEveryChunkAndNobodyWaitsForEver() {
    for (int stages = 2; stages <= 4; stages++) {
      for (int chunks = 1; chunks <= 4; chunks++) {
        for (int microBatches = 0; microBatches <= 9; microBatches++) {
          Schedule schedule = new Schedule(stages, chunks, microBatches);
          ScheduleTimes.of(even(stages * chunks, 1, 1, 0.3), schedule);
          for (int stage = 0; stage < stages; stage++) {
            assertTurns(schedule, stage);
          }
        }
      }
    }
  }

  private static void assertTurns(Schedule schedule, int stage) {
    Set<Forward> held = new HashSet<>();
    int most = 0;
    int done = 0;
    for (Turn turn : schedule.turns(stage)) {
      switch (turn) {
        case Forward f -> {
          assertTrue(held.add(f));
          most = Math.max(most, held.size());
        }
        case Backward b -> {
          assertTrue(held.remove(new Forward(b.microBatch(), b.chunk())));
          done++;
        }
      }
    }
    assertEquals(schedule.microBatches() * schedule.chunks(), done);
    assertEquals(schedule.inFlight(stage), most, schedule + " on " + stage);
  }

  @Test
  void chunksHoldMore() {
    assertEquals(4, new Schedule(4, 1, 16).inFlight(0));
    // Of half a stage's layers each: 5.5 stages' instead of 4.
    assertEquals(11, new Schedule(4, 2, 16).inFlight(0));
    assertEquals(5, new Schedule(4, 2, 16).inFlight(3));
  }

  @Test
  void messagesOfAPairOfStagesGoBothWays() {
    Schedule schedule = new Schedule(2, 2, 2);
    // Activations for the second stage's first chunk, then its second, then a gradient for its
    // first.
    assertEquals(
        List.of(
            new Message(true, 0, 1),
            new Message(true, 1, 1),
            new Message(true, 0, 3),
            new Message(true, 1, 3),
            new Message(false, 0, 1),
            new Message(false, 1, 1)),
        schedule.messages(0, 1));
  }

  @Test
  void theSlowestStageSetsThePaceOfALongStep() {
    ScheduleTimes times =
        ScheduleTimes.of(
            new Costs(
                List.of(new Cost(1, 0), new Cost(3, 0)),
                List.of(new Cost(2, 0), new Cost(6, 0)),
                0),
            new Schedule(2, 1, 1000));
    assertEquals(9 * 1000, times.seconds(), 10);
  }

  @Test
  void transfersOnTheWayDelayWhatWaitsForThem() {
    assertEquals(
        2 * (1 + 2) + 2 * 0.5,
        ScheduleTimes.of(even(2, 1, 2, 0.5), new Schedule(2, 1, 1)).seconds(),
        1e-9);
  }

  @Test
  void stagesThatWorkAtOnceOnOneCoreTakeTurns() {
    // Of 3 units of time a micro-batch and stage, all stages together do no more than one a unit.
    ScheduleTimes shared =
        ScheduleTimes.of(even(4, 1, 2, 0), new Schedule(4, 1, 8), working -> working);
    assertEquals(4 * 8 * 3, shared.seconds(), 1e-9);
    // Only what overlaps is slower: two stages, of which one micro-batch keeps one busy at a time.
    assertEquals(
        6,
        ScheduleTimes.of(even(2, 1, 2, 0), new Schedule(2, 1, 1), working -> working).seconds(),
        1e-9);
  }

  @Test
  void exchangesAreNoSlowerInCompany() {
    Costs costs =
        new Costs(
            Collections.nCopies(2, new Cost(1, 0.5)), Collections.nCopies(2, new Cost(1, 0.5)), 0);
    assertEquals(
        4 * 1.5,
        ScheduleTimes.of(costs, new Schedule(2, 1, 1), working -> working).seconds(),
        1e-9);
  }

  private static Costs even(int stages, double forward, double backward, double transfer) {
    return new Costs(
        Collections.nCopies(stages, new Cost(forward, 0)),
        Collections.nCopies(stages, new Cost(backward, 0)),
        transfer);
  }
}
