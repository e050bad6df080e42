package org.ftcluster.coordinator.job;

import java.util.EnumMap;
import java.util.Map;
import org.ftcluster.coordinator.job.JobEvent.Cancelled;
import org.ftcluster.coordinator.job.JobEvent.Failed;
import org.ftcluster.coordinator.job.JobEvent.GenerationHandedOver;
import org.ftcluster.coordinator.job.JobEvent.GenerationLost;
import org.ftcluster.coordinator.job.JobEvent.GenerationPlanned;
import org.ftcluster.coordinator.job.JobEvent.GenerationStarted;
import org.ftcluster.coordinator.job.JobEvent.Paused;
import org.ftcluster.coordinator.job.JobEvent.Queued;
import org.ftcluster.coordinator.job.JobEvent.Resumed;
import org.ftcluster.coordinator.job.JobEvent.Scaled;
import org.ftcluster.coordinator.job.JobEvent.Succeeded;
import org.jspecify.annotations.Nullable;

/**
 * Where a job is in its life. {@link JobEvent.Submitted} begins it in {@link #SUBMITTED}; then:
 *
 * <table>
 * <caption>Every transition, and what triggers it</caption>
 * <tr><th>from</th><th>event</th><th>to</th><th>trigger</th></tr>
 * <tr><td>SUBMITTED</td><td>Queued</td><td>QUEUED</td><td>the submission is durable</td></tr>
 * <tr><td>QUEUED</td><td>GenerationPlanned</td><td>STARTING</td><td>enough workers are idle</td></tr>
 * <tr><td>STARTING</td><td>GenerationStarted</td><td>RUNNING</td><td>all ranks are connected</td></tr>
 * <tr><td>STARTING</td><td>GenerationLost</td><td>RECOVERING</td>
 *     <td>a rank was lost, failed, or took too long to start</td></tr>
 * <tr><td>RUNNING</td><td>GenerationLost</td><td>RECOVERING</td><td>a rank was lost or failed</td></tr>
 * <tr><td>RUNNING</td><td>GenerationHandedOver</td><td>RECOVERING</td>
 *     <td>all ranks ended after the same step, because workers come or go as planned</td></tr>
 * <tr><td>RUNNING</td><td>Succeeded</td><td>SUCCEEDED</td><td>rank 0 wrote the adapter</td></tr>
 * <tr><td>RECOVERING</td><td>GenerationPlanned</td><td>RECOVERING</td>
 *     <td>enough workers are left, or joined</td></tr>
 * <tr><td>RECOVERING</td><td>GenerationStarted</td><td>RUNNING</td><td>all ranks are connected</td></tr>
 * <tr><td>RECOVERING</td><td>GenerationLost</td><td>RECOVERING</td>
 *     <td>a rank was lost, failed, or took too long to start</td></tr>
 * <tr><td>QUEUED, STARTING, RUNNING, RECOVERING</td><td>Paused</td><td>PAUSED</td>
 *     <td>a client asked for it</td></tr>
 * <tr><td>QUEUED, STARTING, RUNNING, RECOVERING, PAUSED</td><td>Scaled</td><td>the same</td>
 *     <td>a client said how many workers it is to have</td></tr>
 * <tr><td>PAUSED</td><td>Resumed</td><td>QUEUED</td><td>a client asked for it</td></tr>
 * <tr><td>QUEUED, STARTING, RUNNING, RECOVERING</td><td>Failed</td><td>FAILED</td>
 *     <td>the job itself is wrong, a worker's error repeats, or no worker joined in time</td></tr>
 * <tr><td>every state before the end</td><td>Cancelled</td><td>CANCELLED</td>
 *     <td>a client asked for it</td></tr>
 * </table>
 */
public enum JobState {
  /** Durable, and not yet in the queue. */
  SUBMITTED,
  /** Waits for workers. */
  QUEUED,
  /** The first generation prepares. */
  STARTING,
  /** Optimizer steps are made. */
  RUNNING,
  /** Between generations: what is left of the last one waits for, or prepares, the next. */
  RECOVERING,
  /** Holds no workers until it is resumed. */
  PAUSED,
  /** The adapter is on disk. */
  SUCCEEDED,
  /** Ended without a result; the job's reason says why. */
  FAILED,
  /** Ended by a client. */
  CANCELLED;

  private static final Map<JobState, Map<Class<? extends JobEvent>, JobState>> TRANSITIONS =
      new EnumMap<>(
          Map.of(
              SUBMITTED,
              Map.of(Queued.class, QUEUED, Cancelled.class, CANCELLED),
              QUEUED,
              Map.of(
                  GenerationPlanned.class, STARTING,
                  Scaled.class, QUEUED,
                  Paused.class, PAUSED,
                  Failed.class, FAILED,
                  Cancelled.class, CANCELLED),
              STARTING,
              Map.of(
                  GenerationStarted.class, RUNNING,
                  GenerationLost.class, RECOVERING,
                  Scaled.class, STARTING,
                  Paused.class, PAUSED,
                  Failed.class, FAILED,
                  Cancelled.class, CANCELLED),
              RUNNING,
              Map.of(
                  GenerationLost.class, RECOVERING,
                  GenerationHandedOver.class, RECOVERING,
                  Scaled.class, RUNNING,
                  Paused.class, PAUSED,
                  Succeeded.class, SUCCEEDED,
                  Failed.class, FAILED,
                  Cancelled.class, CANCELLED),
              RECOVERING,
              Map.of(
                  GenerationPlanned.class, RECOVERING,
                  GenerationStarted.class, RUNNING,
                  GenerationLost.class, RECOVERING,
                  Scaled.class, RECOVERING,
                  Paused.class, PAUSED,
                  Failed.class, FAILED,
                  Cancelled.class, CANCELLED),
              PAUSED,
              Map.of(Resumed.class, QUEUED, Scaled.class, PAUSED, Cancelled.class, CANCELLED)));

  /** Whether {@code event} may happen to a job in this state. */
  public boolean allows(Class<? extends JobEvent> event) {
    return next(event) != null;
  }

  /**
   * The state after {@code event}.
   *
   * @throws IllegalStateException when that can't happen in this state
   */
  public JobState after(JobEvent event) {
    JobState next = next(event.getClass());
    if (next == null) {
      throw new IllegalStateException(
          "%s can't happen to a job that is %s".formatted(event.getClass().getSimpleName(), this));
    }
    return next;
  }

  /** Whether the job has ended. */
  public boolean isTerminal() {
    return switch (this) {
      case SUCCEEDED, FAILED, CANCELLED -> true;
      case SUBMITTED, QUEUED, STARTING, RUNNING, RECOVERING, PAUSED -> false;
    };
  }

  private @Nullable JobState next(Class<? extends JobEvent> event) {
    return TRANSITIONS.getOrDefault(this, Map.of()).get(event);
  }
}
