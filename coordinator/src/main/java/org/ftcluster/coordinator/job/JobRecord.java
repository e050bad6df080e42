package org.ftcluster.coordinator.job;

import java.util.List;
import org.ftcluster.protocol.message.RankReport.TrainingResult;
import org.jspecify.annotations.Nullable;

/**
 * A job as its events tell it: what is durable about it.
 *
 * @param jobDemand as the job file says
 * @param target workers that a client wants it to have, 0 where none said so
 * @param generation the newest that was planned; 0 before the first
 * @param workers nodes of that generation, by rank; empty while the job holds none
 * @param step the last step known when the last event happened
 * @param steps of the whole job; 0 until a generation has started
 * @param reason why the job is where it is, or empty
 * @param result not null when it succeeded
 */
public record JobRecord(
    String job,
    String name,
    String yaml,
    WorkerDemand jobDemand,
    int target,
    JobState state,
    long generation,
    List<String> workers,
    long step,
    long steps,
    String reason,
    @Nullable TrainingResult result) {

  static JobRecord submitted(String job, JobEvent.Submitted event) {
    return new JobRecord(
        job,
        event.name(),
        event.yaml(),
        event.demand(),
        0,
        JobState.SUBMITTED,
        0,
        List.of(),
        0,
        0,
        "",
        null);
  }

  /**
   * This job after {@code event}.
   *
   * @throws IllegalStateException when that can't happen to it
   */
  JobRecord after(JobEvent event) {
    JobState next = state.after(event);
    return switch (event) {
      case JobEvent.Submitted ignored -> throw new IllegalStateException("submitted twice");
      case JobEvent.Queued ignored -> idle(next, step, "");
      case JobEvent.GenerationPlanned planned -> {
        if (planned.generation() <= generation) {
          throw new IllegalStateException(
              "generation %d after %d".formatted(planned.generation(), generation));
        }
        yield with(next, planned.generation(), planned.workers(), step, steps, reason, null);
      }
      case JobEvent.GenerationStarted started ->
          with(next, generation, workers, started.step(), started.steps(), "", null);
      case JobEvent.GenerationLost lost -> idle(next, lost.step(), lost.reason());
      case JobEvent.GenerationHandedOver ended -> idle(next, ended.step(), ended.reason());
      case JobEvent.Scaled scaled -> scaled(scaled.workers());
      case JobEvent.Paused paused -> idle(next, paused.step(), "");
      case JobEvent.Resumed ignored -> idle(next, step, "");
      case JobEvent.Succeeded succeeded -> {
        TrainingResult result = succeeded.result();
        yield with(next, generation, List.of(), result.steps(), result.steps(), "", result);
      }
      case JobEvent.Failed failed -> idle(next, failed.step(), failed.reason());
      case JobEvent.Cancelled cancelled -> idle(next, cancelled.step(), "");
    };
  }

  /** How many workers a generation needs, and takes at most. */
  WorkerDemand demand() {
    return target == 0 ? jobDemand : jobDemand.atMost(target);
  }

  /** Why it can't have so many workers at most; empty where it can. */
  String objectionTo(int workers) {
    if (!state.allows(JobEvent.Scaled.class)) {
      return "Job '%s' is %s.".formatted(job, state);
    }
    if (workers < jobDemand.min()) {
      return "Job '%s' needs at least %d workers, and can't be scaled to %d."
          .formatted(job, jobDemand.min(), workers);
    }
    if (workers % jobDemand.unit() != 0) {
      return "Job '%s' has a multiple of %d workers (parallel.tensor x parallel.pipeline), and can't be scaled to %d."
          .formatted(job, jobDemand.unit(), workers);
    }
    return workers <= jobDemand.max()
        ? ""
        : "Job '%s' has use for at most %d workers (elastic.max_workers, and a micro-batch a step for each), not %d."
            .formatted(job, jobDemand.max(), workers);
  }

  private JobRecord scaled(int workers) {
    return new JobRecord(
        job,
        name,
        yaml,
        jobDemand,
        workers,
        state,
        generation,
        this.workers,
        step,
        steps,
        reason,
        result);
  }

  /** Without workers. */
  private JobRecord idle(JobState state, long step, String reason) {
    return with(state, generation, List.of(), step, steps, reason, null);
  }

  private JobRecord with(
      JobState state,
      long generation,
      List<String> workers,
      long step,
      long steps,
      String reason,
      @Nullable TrainingResult result) {
    return new JobRecord(
        job,
        name,
        yaml,
        jobDemand,
        target,
        state,
        generation,
        workers,
        step,
        steps,
        reason,
        result);
  }
}
