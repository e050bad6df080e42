package org.ftcluster.coordinator.job;

import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.ftcluster.protocol.message.RankReport.TrainingResult;
import org.jspecify.annotations.Nullable;

/**
 * A job as clients see it.
 *
 * @param step the last one completed
 * @param steps of the whole job; 0 until that is known
 * @param workers how many it holds
 * @param demand how many it needs, and takes at most
 * @param reason why it is in this state, or empty
 * @param result not null when it succeeded
 */
public record JobStatus(
    String job,
    String name,
    JobState state,
    long step,
    long steps,
    int workers,
    WorkerDemand demand,
    long generation,
    String reason,
    @Nullable TrainingResult result) {

  /**
   * @param waitsBecause why it has no workers yet, a clause; or empty
   */
  static JobStatus of(JobRecord record, long step, int workers, String waitsBecause) {
    return new JobStatus(
        record.job(),
        record.name(),
        record.state(),
        step,
        record.steps(),
        workers,
        record.demand(),
        record.generation(),
        reason(record, waitsBecause),
        record.result());
  }

  private static String reason(JobRecord record, String waitsBecause) {
    return switch (record.state()) {
      case QUEUED, RECOVERING ->
          Stream.of(record.reason(), waitsBecause)
              .filter(clause -> !clause.isEmpty())
              .collect(Collectors.joining("; "));
      case SUBMITTED, STARTING, RUNNING, PAUSED, SUCCEEDED, FAILED, CANCELLED -> record.reason();
    };
  }
}
