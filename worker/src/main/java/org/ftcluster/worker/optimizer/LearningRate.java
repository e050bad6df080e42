package org.ftcluster.worker.optimizer;

import org.ftcluster.protocol.job.JobSpec;

/**
 * The learning rate of each step, as {@code transformers.get_scheduler} computes it: a warm-up that
 * rises linearly from 0 (so that the very first step changes nothing), then the schedule. {@code
 * constant} is what Transformers calls {@code constant_with_warmup}.
 *
 * @param peak reached at the end of the warm-up
 * @param warmupSteps optimizer steps of the warm-up
 * @param steps optimizer steps of the whole job
 */
public record LearningRate(JobSpec.Scheduler scheduler, double peak, long warmupSteps, long steps) {

  /**
   * As a job's settings say.
   *
   * @param steps optimizer steps of the whole job
   */
  public static LearningRate of(JobSpec.Training training, long steps) {
    long warmupSteps =
        training.warmupSteps() > 0
            ? training.warmupSteps()
            : (long) Math.ceil(steps * training.warmupRatio());
    return new LearningRate(
        training.lrSchedulerType(), training.learningRate(), warmupSteps, steps);
  }

  /**
   * The rate of one step.
   *
   * @param step counted from 0
   */
  public double at(long step) {
    if (step < warmupSteps) {
      return peak * ((double) step / warmupSteps);
    }
    double progress = (double) (step - warmupSteps) / Math.max(1, steps - warmupSteps);
    return peak
        * switch (scheduler) {
          case CONSTANT -> 1;
          case LINEAR -> Math.max(0, 1 - progress);
          case COSINE -> Math.max(0, 0.5 * (1 + Math.cos(Math.PI * progress)));
        };
  }
}
