package org.ftcluster.coordinator.job;

import java.util.List;
import org.ftcluster.protocol.message.RankReport.TrainingResult;
import org.jspecify.annotations.Nullable;

/**
 * A job as its events tell it: what is durable about it.
 *
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
    WorkerDemand demand,
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
        job, name, yaml, demand, state, generation, workers, step, steps, reason, result);
  }
}
