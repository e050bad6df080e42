package org.ftcluster.cli.chaos;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import java.util.OptionalLong;
import java.util.Set;
import org.ftcluster.cli.chaos.Sightings.Loss;
import org.ftcluster.cli.chaos.Sightings.Step;
import org.junit.jupiter.api.Test;

/** What is made of what was seen after a fault. */
class AftermathTest {
  private static final List<Step> BEFORE = List.of(step(100, 1, 1), step(900, 2, 1));

  @Test
  void recoveryEndsWithAStepOfANewerGeneration() {
    Aftermath aftermath = after(FaultKind.KILL, List.of(), step(1_010, 3, 1), step(3_500, 4, 2));

    assertEquals(List.of(OptionalLong.of(2_500)), aftermath.recoveriesMs());
    assertEquals(List.of(), aftermath.broken());
  }

  @Test
  void whereTheGenerationGoesOnAnyStepEndsIt() {
    Aftermath aftermath = after(FaultKind.SLOW, List.of(), step(1_700, 3, 1));

    assertEquals(List.of(OptionalLong.of(700)), aftermath.recoveriesMs());
  }

  @Test
  void aWorkerThatJoinedWithoutBeingNeededIsNoRecovery() {
    Aftermath aftermath = after(FaultKind.JOIN, List.of(), step(1_700, 3, 1));

    assertEquals(List.of(OptionalLong.empty()), aftermath.recoveriesMs());
  }

  @Test
  void oneStepMayBeDoneAgainAfterAKill() {
    Aftermath aftermath = after(FaultKind.KILL, List.of(loss(1_100)), step(3_500, 2, 2));

    assertEquals(Set.of(2L), aftermath.repeated());
    assertEquals(List.of(), aftermath.broken());
  }

  @Test
  void twoMayNot() {
    Aftermath aftermath =
        after(FaultKind.KILL, List.of(loss(1_100)), step(3_500, 1, 2), step(3_900, 2, 2));

    assertEquals(
        List.of("fault 5 (kill): steps [1, 2] were done again, where at most 1 may be"),
        aftermath.broken());
  }

  @Test
  void noneMayBeAfterADrain() {
    Aftermath aftermath = after(FaultKind.DRAIN, List.of(), step(3_500, 2, 2));

    assertEquals(
        List.of("fault 5 (drain): steps [2] were done again, where at most 0 may be"),
        aftermath.broken());
  }

  @Test
  void aDrainEndsNoStepInTheMiddle() {
    Aftermath aftermath = after(FaultKind.DRAIN, List.of(loss(1_100)), step(3_500, 3, 2));

    assertEquals(
        List.of("fault 5 (drain): generation 1 was given up in the middle of a step (lost rank 1)"),
        aftermath.broken());
  }

  @Test
  void aPartitionMayCostAsManyStepsAsGenerations() {
    Aftermath aftermath =
        after(
            FaultKind.PARTITION,
            List.of(loss(1_100), loss(2_100)),
            step(3_500, 1, 2),
            step(3_900, 2, 2));

    assertEquals(List.of(), aftermath.broken());
  }

  @Test
  void faultsThatStrikeTogetherAnswerTogether() {
    List<Step> steps = List.of(step(900, 2, 1), step(4_000, 2, 2));
    List<Strike> strikes = List.of(strike(5, FaultKind.DRAIN), strike(6, FaultKind.KILL));

    Aftermath aftermath = Aftermath.of(strikes, steps, List.of(loss(1_100)), 9_000);

    assertEquals(List.of(), aftermath.broken());
    assertEquals(List.of(OptionalLong.of(3_000), OptionalLong.of(3_000)), aftermath.recoveriesMs());
  }

  @Test
  void medianAndTailAreOfFaultsThatWereAlone() {
    RecoveryTimes times = new RecoveryTimes();
    for (long ms = 100; ms <= 500; ms += 100) {
      times.add(after(FaultKind.KILL, List.of(), step(1_000 + ms, 3, 2)));
    }
    times.add(
        Aftermath.of(
            List.of(strike(8, FaultKind.KILL), strike(9, FaultKind.SLOW)), BEFORE, List.of(), 2));

    assertEquals(
        List.of(
            new RecoveryTimes.Line("kill", 6, 5, 0.3, 0.5, 0.5, 0),
            new RecoveryTimes.Line("slow", 1, 0, Double.NaN, Double.NaN, Double.NaN, 0)),
        times.lines());
  }

  private static Aftermath after(FaultKind kind, List<Loss> losses, Step... steps) {
    List<Step> all = new java.util.ArrayList<>(BEFORE);
    all.addAll(List.of(steps));
    return Aftermath.of(List.of(strike(5, kind)), all, losses, 9_000);
  }

  private static Strike strike(int number, FaultKind kind) {
    return new Strike(number, 1, kind, 1_000, 2, 1, kind.word());
  }

  private static Step step(long atMs, long step, long generation) {
    return new Step(atMs, step, generation, 2);
  }

  private static Loss loss(long atMs) {
    return new Loss(atMs, 1, "lost rank 1");
  }
}
