package org.ftcluster.cli.chaos;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import org.ftcluster.cli.chaos.Schedule.Crew;
import org.ftcluster.cli.chaos.Schedule.Planned;
import org.junit.jupiter.api.Test;

/** What happens on a game day follows from its arguments alone. */
class ScheduleTest {
  private static final List<FaultKind> ALL = List.of(FaultKind.values());
  private static final int DETECTION_MS = 5_000;

  @Test
  void theSameSeedGivesTheSameFaultsAndAnotherOneOthers() {
    assertEquals(first(200, 7, ALL, 4), first(200, 7, ALL, 4));
    assertNotEquals(first(200, 7, ALL, 4), first(200, 8, ALL, 4));
  }

  @Test
  void everyKindComesOnceBeforeAnyComesAgain() {
    for (long seed = 0; seed < 50; seed++) {
      List<FaultKind> kinds =
          first(8, seed, ALL, 4).stream().map(planned -> planned.fault().kind()).toList();
      assertEquals(EnumSet.allOf(FaultKind.class), EnumSet.copyOf(kinds));
    }
  }

  @Test
  void aKindThatIsNamedTwiceComesTwiceAsOften() {
    Map<FaultKind, Integer> counts = new EnumMap<>(FaultKind.class);
    List<FaultKind> kinds = List.of(FaultKind.KILL, FaultKind.KILL, FaultKind.SLOW);
    first(300, 7, kinds, 4).forEach(p -> counts.merge(p.fault().kind(), 1, Integer::sum));

    assertEquals(Map.of(FaultKind.KILL, 200, FaultKind.SLOW, 100), counts);
  }

  @Test
  void neverMoreThanTwoFaultsAtOnceAndOnlyAmongEnoughWorkers() {
    boolean before = false;
    for (Planned planned : first(1000, 7, ALL, 3)) {
      assertFalse(before && planned.hasty(), planned.text());
      before = planned.hasty();
    }
    assertTrue(first(100, 7, ALL, 3).stream().anyMatch(Planned::hasty));
    assertTrue(first(100, 7, ALL, 2).stream().noneMatch(Planned::hasty));
  }

  @Test
  void thereIsOneWorkerMoreOrLessAtMost() {
    for (long seed = 0; seed < 20; seed++) {
      int surplus = 0;
      for (Planned planned : first(200, seed, List.of(FaultKind.JOIN, FaultKind.DRAIN), 4)) {
        switch (planned.fault()) {
          case Fault.Join join -> surplus += join.oneLeaves() ? 0 : 1;
          case Fault.Drain drain -> surplus -= drain.replaced() ? 0 : 1;
          default -> throw new AssertionError(planned.text());
        }
        assertTrue(Math.abs(surplus) <= 1, planned.text());
      }
    }
  }

  @Test
  void whomTheJobCannotDoWithoutIsReplacedWhenLeaving() {
    for (Crew crew : List.of(new Crew(1, 1, 1), new Crew(4, 4, 4))) {
      for (Planned planned : first(20, 7, List.of(FaultKind.DRAIN), crew)) {
        assertTrue(((Fault.Drain) planned.fault()).replaced());
      }
    }
  }

  @Test
  void nothingStrikesEarlyWhereTooFewHoldTheState() {
    assertTrue(first(100, 7, ALL, new Crew(4, 2, 2)).stream().noneMatch(Planned::hasty));
    assertTrue(first(100, 7, ALL, new Crew(4, 2, 4)).stream().anyMatch(Planned::hasty));
  }

  @Test
  void aPauseIsLongerThanItTakesToBeMissedAndASlowWorkerIsNeverMissed() {
    for (Planned planned : first(500, 7, ALL, 4)) {
      switch (planned.fault()) {
        case Fault.Pause pause -> assertTrue(pause.ms() > DETECTION_MS);
        case Fault.Partition partition -> assertTrue(partition.ms() > DETECTION_MS);
        case Fault.Slow slow -> assertTrue(slow.stopMs() < DETECTION_MS / 2);
        case Fault.Kill _, Fault.Join _, Fault.Drain _, Fault.Coordinator _, Fault.DiskFull _ -> {}
      }
    }
  }

  /** Every worker has a copy of the model. */
  private static List<Planned> first(int count, long seed, List<FaultKind> kinds, int workers) {
    return first(count, seed, kinds, new Crew(workers, 1, workers));
  }

  private static List<Planned> first(int count, long seed, List<FaultKind> kinds, Crew crew) {
    Schedule schedule = new Schedule(seed, kinds, crew, 3_000);
    List<Planned> planned = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      planned.add(schedule.next());
    }
    return planned;
  }
}
