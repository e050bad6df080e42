package org.ftcluster.worker.training;

import java.util.List;
import java.util.Optional;
import org.ftcluster.protocol.message.RankReport;
import org.ftcluster.protocol.message.RankReport.StepMetrics;
import org.ftcluster.protocol.message.RankReport.TrainingResult;
import org.ftcluster.protocol.message.WorkerCommand.PeerAddress;
import org.ftcluster.worker.collective.ListenAddress;

/**
 * One worker's part in a job, over all its generations. What training leaves behind (weights,
 * optimizer state, data) stays in memory between them.
 *
 * <p>A generation is {@link #prepare}, then at most one {@link #run}, both called from one thread,
 * the rank's, as {@link #close} is; only {@link #handOver}, {@link #leave}, {@link #stop} and
 * {@link #hang} may come from any thread at any time.
 */
public interface RankTask extends AutoCloseable {
  /** The last optimizer step whose result is held in memory, -1 when none is. */
  long completedStep();

  /** Optimizer steps of the whole job. */
  long steps();

  /**
   * Why {@link #run} is judged to stand still in work of its own, if it is: a sentence for the
   * job's history. Returns at once.
   */
  default Optional<String> hang() {
    return Optional.empty();
  }

  /**
   * Time that this rank takes for a token, compared with the others of its generation: 2 is half as
   * fast. 0 while it isn't known. Returns at once, from any thread.
   */
  default double slowness() {
    return 0;
  }

  /**
   * Loads what a rank needs for its place among others, where that isn't there already; takes as
   * long as it takes, and {@link #stop} doesn't end it. The generation before must have ended.
   *
   * @throws org.ftcluster.protocol.job.BadJobException when the job itself is wrong
   */
  default void take(int rank, int worldSize) {}

  /**
   * Begins a generation, and {@link #take}s its place: opens the listener of its collectives.
   *
   * @param secret what ranks of this generation show each other when they connect
   * @return where the other ranks reach this one
   * @throws org.ftcluster.worker.collective.CollectiveException when this generation was stopped
   *     already
   */
  PeerAddress prepare(int rank, int worldSize, long generation, byte[] secret);

  /**
   * Connects to the other ranks, takes over the state of {@code stateSource}, and trains until the
   * job is done, or handed over, as {@link #handOver} asks. Where all steps are done already, rank
   * 0 still writes the adapter and reports {@link RankEvents#completed}.
   *
   * @param peers where each rank's collectives listen, by rank
   * @param stateSource the rank that holds the newest completed step in memory, or -1 when none
   *     does: then every rank reads the newest whole checkpoint, or starts from nothing
   * @throws org.ftcluster.protocol.job.BadJobException when no generation could do better
   * @throws org.ftcluster.worker.collective.CollectiveException when a peer was lost, or the
   *     generation was stopped: {@link #completedStep} is intact, and {@link #prepare} may follow
   */
  void run(List<PeerAddress> peers, int stateSource, RankEvents events);

  /**
   * Asks a generation, running or yet to run, to end after a step, the same one on all ranks,
   * though only one was asked: {@link #run} then tells {@link RankEvents#handedOver} and returns.
   * No step is given up for it. Returns at once.
   */
  void handOver(long generation);

  /**
   * Says that this process is about to end: whatever generation runs here ends after a step, as
   * with {@link #handOver}. Returns at once.
   */
  void leave();

  /**
   * Makes durable what no other process may hold; nothing where others have it, or have gone on. To
   * be called between runs, on the rank's thread.
   */
  void keepSafe();

  /**
   * Ends a generation: its {@link #prepare} or {@link #run}, running or yet to come, throws a
   * {@code CollectiveException} soon. Does nothing to later generations, and returns at once.
   */
  void stop(long generation, String reason);

  /** Frees memory and files; the job has ended here. */
  @Override
  void close();

  /**
   * What {@link #run} tells while it runs. Calls return at once and may come from any thread; what
   * isn't overridden is left unheard.
   */
  interface RankEvents {
    /** All ranks are connected and hold the same state; training goes on after {@code step}. */
    default void started(long step) {}

    /** Rank 0 only: the step's line is in {@code metrics.jsonl}, or waits for room on the disk. */
    default void stepCompleted(StepMetrics metrics) {}

    /** A sentence worth a line in the job's history: an evaluation, a checkpoint. */
    default void noted(String note) {}

    /**
     * This rank takes clearly longer than the others, or not any more.
     *
     * @param slowness time that it takes for a token, compared with them
     */
    default void paced(double slowness, RankReport.Pace pace) {}

    /** Rank 0 only: the adapter is on disk. */
    default void completed(TrainingResult result) {}

    /** The generation's part of the job is done; {@code step} is the last completed one. */
    default void handedOver(long step) {}
  }

  /** Makes the task of a job that this worker takes part in for the first time. */
  interface Factory {
    /**
     * Loads model and data.
     *
     * @param job its id, which no other job ever had
     * @param jobYaml the resolved job file
     * @param listen where collectives listen
     * @throws org.ftcluster.protocol.job.BadJobException when the job itself is wrong
     */
    RankTask create(String job, String jobYaml, ListenAddress listen);
  }
}
