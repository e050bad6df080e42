package org.ftcluster.worker.training;

import java.util.Optional;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.worker.checkpoint.Progress;
import org.ftcluster.worker.checkpoint.Progress.Evaluated;

/**
 * When a job is evaluated between its first and its last step, and what follows from it. All ranks
 * have the same progress, and so come to the same.
 *
 * @param steps that the job has at most
 */
record EvaluationPlan(JobSpec.Evaluation settings, long steps) {
  /** Whether anything but the losses before and after training is to be known. */
  boolean isAskedFor() {
    return settings.everySteps() > 0;
  }

  /** Whether this step is to be evaluated before another one is taken. */
  boolean isDue(Progress progress) {
    return isAskedFor()
        && progress.step() > 0
        && progress.step() % settings.everySteps() == 0
        && progress.evalLoss().isEmpty();
  }

  /**
   * Whether what a step left is to be kept, since no better one is.
   *
   * @param progress before this loss is added
   */
  boolean isToKeep(double loss, Progress progress) {
    return settings.keepBest() && progress.bestKept().stream().allMatch(b -> loss < b.evalLoss());
  }

  /** Whether no other step is taken. */
  boolean isOver(Progress progress) {
    return progress.step() >= steps || endsEarly(progress);
  }

  /** Whether so many evaluations since the best one were in vain that no other step is taken. */
  boolean endsEarly(Progress progress) {
    return settings.patience() > 0
        && progress.best().isPresent()
        && since(progress.best().get(), progress) >= settings.patience();
  }

  private static long since(Evaluated best, Progress progress) {
    return progress.evaluations().stream().filter(one -> one.step() > best.step()).count();
  }

  /** The step that the result is made of, where that isn't the last. */
  Optional<Evaluated> result(Progress progress) {
    double last = progress.evalLoss().orElse(Double.POSITIVE_INFINITY);
    return progress
        .bestKept()
        .filter(best -> settings.keepBest() && best.step() < progress.step())
        .filter(best -> best.evalLoss() <= last);
  }
}
