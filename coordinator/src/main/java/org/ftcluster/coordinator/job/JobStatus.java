package org.ftcluster.coordinator.job;

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
 * @param shortage what it lacks while it waits for workers, a clause; empty where it has some, or
 *     hasn't waited for long
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
    String shortage,
    @Nullable TrainingResult result) {

  static JobStatus of(JobRecord record, long step, int workers, String shortage) {
    boolean mayWait = record.state() == JobState.QUEUED || record.state() == JobState.RECOVERING;
    return new JobStatus(
        record.job(),
        record.name(),
        record.state(),
        step,
        record.steps(),
        workers,
        record.demand(),
        record.generation(),
        record.reason(),
        mayWait ? shortage : "",
        record.result());
  }
}
