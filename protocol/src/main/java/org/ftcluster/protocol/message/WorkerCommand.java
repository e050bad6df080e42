package org.ftcluster.protocol.message;

import java.util.List;
import org.apache.pekko.actor.typed.ActorRef;
import org.apache.pekko.actor.typed.receptionist.ServiceKey;

/**
 * What the coordinator asks of a worker: one JVM that holds one device and runs at most one rank at
 * a time.
 *
 * <p>A generation goes: {@link PrepareRank} to every chosen worker, each answers {@link
 * RankReport.Prepared}; then {@link StartRank} to all of them, and reports flow until {@link
 * RankReport.Completed}, {@link RankReport.HandedOver}, {@link RankReport.Failed} or {@link
 * StopRank}. A command of an older generation than the worker has seen for that job is dropped.
 */
public sealed interface WorkerCommand {
  /** Under which workers are found through cluster membership. */
  ServiceKey<WorkerCommand> KEY = ServiceKey.create(WorkerCommand.class, "worker");

  /** Asks what this worker is and does. Nobody answers an epoch that is over. */
  record Describe(Epoch epoch, ActorRef<WorkerDescription> replyTo) implements WorkerCommand {}

  /**
   * Load the job's model and data, open the listener of the collectives, answer {@link
   * RankReport.Prepared}.
   *
   * @param jobYaml the resolved job file
   * @param secret what ranks of this generation show each other when they connect
   */
  record PrepareRank(
      String job,
      long generation,
      int rank,
      int worldSize,
      String jobYaml,
      byte[] secret,
      ActorRef<RankReport> reports)
      implements WorkerCommand {}

  /**
   * Connect to the other ranks, take over the state of {@code stateSource}, train.
   *
   * @param peers where each rank's collectives listen, by rank
   * @param stateSource the rank that holds the newest completed step in memory, or -1 when none
   *     does: then every rank reads the newest whole checkpoint, or starts from nothing
   */
  record StartRank(String job, long generation, List<PeerAddress> peers, int stateSource)
      implements WorkerCommand {}

  /**
   * Another coordinator takes a generation over that goes on meanwhile: it is told {@link
   * RankReport.Resumed}, all that nobody may have heard yet, and whatever follows.
   */
  record ReportTo(Epoch epoch, String job, long generation, ActorRef<RankReport> reports)
      implements WorkerCommand {}

  /** A {@link RankReport.Noted} was heard: it needn't be said again. */
  record NoteHeard(String job, long generation, String note) implements WorkerCommand {}

  /**
   * Load the job's model and data while others train, so that they needn't wait for it; {@link
   * Describe} tells when that is done. Nothing happens where the worker has a rank, or another
   * job's state.
   */
  record LoadJob(String job, String jobYaml) implements WorkerCommand {}

  /**
   * End the generation after the step at hand, on all ranks after the same one, and answer {@link
   * RankReport.HandedOver}. May be asked again.
   */
  record HandOver(String job, long generation) implements WorkerCommand {}

  /**
   * Take no rank from now on, hand over what there is, and leave the cluster.
   *
   * @param reason a clause, for the job's history
   */
  record Drain(String reason) implements WorkerCommand {}

  /**
   * End the rank's generation at once. What the last completed step left stays in memory for the
   * next generation.
   */
  record StopRank(String job, long generation, String reason) implements WorkerCommand {}

  /** The job has ended: free what it holds. */
  record ReleaseJob(String job) implements WorkerCommand {}

  /** Where a rank's collectives listen. */
  record PeerAddress(String host, int port) {}
}
