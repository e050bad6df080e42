package org.ftcluster.protocol.message;

import org.apache.pekko.actor.typed.ActorRef;

/**
 * What a rank tells its job. A report of another generation than the job's is dropped. Reports may
 * come twice: they are kept for a coordinator that takes over.
 */
public sealed interface RankReport {
  String job();

  long generation();

  int rank();

  /**
   * Ready to connect.
   *
   * @param address where this rank's collectives listen
   * @param completedStep the last optimizer step whose result this worker holds in memory, or -1
   *     when it holds none
   * @param steps optimizer steps of the whole job
   */
  record Prepared(
      String job,
      long generation,
      int rank,
      WorkerCommand.PeerAddress address,
      long completedStep,
      long steps)
      implements RankReport {}

  /** All ranks are connected and hold the same state; training goes on after {@code step}. */
  record Started(String job, long generation, int rank, long step) implements RankReport {}

  /** Answers {@link WorkerCommand.ReportTo}; what was said before follows. */
  record Resumed(String job, long generation, int rank, ActorRef<WorkerCommand> worker)
      implements RankReport {}

  /** Sent by rank 0 after each optimizer step, once its line is in {@code metrics.jsonl}. */
  record StepCompleted(String job, long generation, int rank, StepMetrics metrics)
      implements RankReport {}

  /** Something worth a line in the job's history: an evaluation, a checkpoint. */
  record Noted(String job, long generation, int rank, String note) implements RankReport {}

  /**
   * This rank takes clearly longer than the others, or not any more.
   *
   * @param slowness time that it takes for a token, compared with the others
   */
  record Paced(String job, long generation, int rank, double slowness, Pace pace)
      implements RankReport {}

  /** How a rank does among the others. */
  enum Pace {
    KEEPS_UP,
    /** It takes longer, and has less to do. */
    STRAGGLES,
    /** It takes longer, and a step has too few micro-batches to make up for that. */
    HOLDS_UP
  }

  /**
   * Answers {@link WorkerCommand.HandOver}: this rank's generation is over, and nothing was given
   * up for it.
   *
   * @param step the last completed one, the same on all ranks
   */
  record HandedOver(String job, long generation, int rank, long step) implements RankReport {}

  /**
   * This worker is about to leave, for a reason, and the generation ends after the step at hand;
   * its state will be where others find it.
   */
  record Leaving(String job, long generation, int rank, String reason) implements RankReport {}

  /** Sent by rank 0 when the adapter is on disk. */
  record Completed(String job, long generation, int rank, TrainingResult result)
      implements RankReport {}

  /** This rank can't go on. */
  record Failed(String job, long generation, int rank, Cause cause, String message)
      implements RankReport {}

  /** Whether another generation could do better. */
  enum Cause {
    /**
     * The job itself is wrong (a missing file, a bad line, an adapter that doesn't fit): it ends
     * FAILED.
     */
    BAD_JOB,
    /**
     * Another rank went away, or the generation was stopped: survivors go on in a new generation.
     */
    LOST_PEER,
    /** This worker failed (out of memory, a native error, disk full): tried again, a few times. */
    WORKER_ERROR
  }

  /**
   * A line of {@code metrics.jsonl}.
   *
   * @param step counted from 1
   * @param loss mean over the target tokens, or the pairs, of the whole global batch, before the
   *     update
   * @param targetTokens tokens that carried a loss
   * @param samples samples (not rows) in the batch
   */
  record StepMetrics(
      long step,
      double epoch,
      double loss,
      double gradNorm,
      double learningRate,
      long targetTokens,
      long samples,
      double tokensPerSecond,
      int workers,
      long generation) {}

  /**
   * How training ended.
   *
   * @param resultStep the step after which the result was as it is: the last one, or the best
   * @param evalLossBefore NaN where the job has no evaluation data
   * @param evalLossAfter the result's, as above
   * @param tokensPerSecond input tokens trained on, by seconds spent in steps
   */
  record TrainingResult(
      long steps,
      long resultStep,
      double evalLossBefore,
      double evalLossAfter,
      String adapter,
      String adapterSha256,
      double tokensPerSecond,
      double wallSeconds,
      long samples) {}
}
