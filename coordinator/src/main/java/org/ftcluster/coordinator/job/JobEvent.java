package org.ftcluster.coordinator.job;

import java.util.List;
import org.ftcluster.protocol.message.RankReport.TrainingResult;

/**
 * What happened to a job. Events are durable before anyone hears of them; steps are too many to be
 * events.
 */
public sealed interface JobEvent {
  /** A client handed the job in. */
  record Submitted(String name, String yaml, WorkerDemand demand) implements JobEvent {}

  /** It waits for workers. */
  record Queued() implements JobEvent {}

  /**
   * Workers were chosen, and are told to prepare.
   *
   * @param workers nodes, by rank
   */
  record GenerationPlanned(long generation, List<String> workers) implements JobEvent {
    public GenerationPlanned {
      workers = List.copyOf(workers);
    }
  }

  /** All ranks are connected; training goes on after {@code step} of {@code steps}. */
  record GenerationStarted(long generation, long step, long steps) implements JobEvent {}

  /**
   * A rank was lost or failed, and with it the generation.
   *
   * @param step the last step that was reported
   */
  record GenerationLost(long generation, long step, String reason) implements JobEvent {}

  /**
   * All ranks ended the generation after the same step, as they were asked to: there are other
   * workers to go on with.
   */
  record GenerationHandedOver(long generation, long step, String reason) implements JobEvent {}

  /**
   * Someone said how many workers the job is to have.
   *
   * @param workers at most, from now on
   */
  record Scaled(int workers) implements JobEvent {}

  /** Someone asked the job to give its workers back for now. */
  record Paused(long step) implements JobEvent {}

  /** Someone asked a paused job to go on. */
  record Resumed() implements JobEvent {}

  /** The adapter is on disk. */
  record Succeeded(TrainingResult result) implements JobEvent {}

  /** No other generation could do better, or no worker came. */
  record Failed(long step, String reason) implements JobEvent {}

  /** Someone asked for its end. */
  record Cancelled(long step) implements JobEvent {}
}
