package org.ftcluster.worker.training;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Optional;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.worker.checkpoint.Progress;
import org.ftcluster.worker.checkpoint.Progress.Evaluated;
import org.junit.jupiter.api.Test;

/** Of a job of 12 steps. */
class EvaluationPlanTest {
  @Test
  void aStepIsEvaluatedOnce() {
    EvaluationPlan everyThird = plan(3, false, 0);
    assertFalse(everyThird.isDue(after(0)));
    assertFalse(everyThird.isDue(after(2)));
    assertTrue(everyThird.isDue(after(3)));
    assertFalse(everyThird.isDue(after(3, 1.0)));
    assertTrue(everyThird.isDue(after(6, 1.0)));
    assertFalse(plan(0, false, 0).isDue(after(3)));
  }

  @Test
  void whatIsBetterThanAllThatWasKeptIsKept() {
    EvaluationPlan best = plan(3, true, 0);
    assertTrue(best.isToKeep(1.0, after(3)));
    assertTrue(best.isToKeep(0.9, after(6, 1.0)));
    assertFalse(best.isToKeep(1.0, after(6, 1.0)), "it was there first");
    assertTrue(best.isToKeep(0.9, lost(after(6, 1.0), 0.8)), "0.8 could not be saved");
    assertFalse(plan(3, false, 0).isToKeep(1.0, after(3)));
  }

  @Test
  void theResultIsOfTheBestThatWasKept() {
    Optional<Evaluated> second = Optional.of(new Evaluated(6, 0.7, null, true));
    assertEquals(second, plan(3, true, 0).result(after(12, 0.9, 0.7, 0.8, 0.85)));
    assertEquals(second, plan(3, true, 0).result(lost(after(9, 0.9, 0.7), 0.7)), "the first");
    assertEquals(Optional.empty(), plan(3, true, 0).result(lost(after(9, 0.9, 0.7), 0.6)));
    assertEquals(Optional.empty(), plan(3, true, 0).result(after(6, 0.9, 0.7)), "it is the last");
    assertEquals(Optional.empty(), plan(3, false, 0).result(after(12, 0.9, 0.7, 0.8, 0.85)));
  }

  @Test
  void trainingEndsWithTheLastStepOrWhenPatienceDoes() {
    assertFalse(plan(3, false, 0).isOver(after(9, 1.0, 1.1, 1.2)));
    assertTrue(plan(3, false, 0).isOver(after(12, 1.0, 1.1, 1.2)));
    EvaluationPlan two = plan(3, false, 2);
    assertFalse(two.isOver(after(3)), "nothing is known yet");
    assertFalse(two.isOver(after(6, 1.0, 1.1)));
    assertFalse(two.isOver(after(9, 1.0, 1.1, 0.9)), "patience begins anew");
    assertTrue(two.isOver(after(9, 1.0, 1.1, 1.0)), "no less is no better");
    assertTrue(two.endsEarly(after(9, 1.0, 1.1, 1.0)));
  }

  private static EvaluationPlan plan(long everySteps, boolean keepBest, int patience) {
    return new EvaluationPlan(new JobSpec.Evaluation(everySteps, keepBest, patience), 12);
  }

  /**
   * A step.
   *
   * @param losses after every third one, which was kept
   */
  private static Progress after(long step, double... losses) {
    Progress progress = Progress.NONE;
    for (int i = 0; i < losses.length; i++) {
      progress = at(3 * (i + 1), progress).withEvalLoss(losses[i], null, true);
    }
    return at(step, progress);
  }

  /** The same with a loss after the last step, of which there is no checkpoint. */
  private static Progress lost(Progress progress, double loss) {
    return progress.withEvalLoss(loss, null, false);
  }

  private static Progress at(long step, Progress progress) {
    return new Progress(step, 2, progress.evaluations(), step, step, step, null);
  }
}
