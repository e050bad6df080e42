package org.ftcluster.coordinator.job;

import java.util.List;
import org.apache.pekko.actor.typed.ActorRef;
import org.ftcluster.protocol.message.RankReport;

/** What a {@link Job} is told. */
public sealed interface JobCommand {
  /** Begins the job's life; answered when it is durable. */
  record Submit(JobEvent.Submitted job, ActorRef<JobStatus> replyTo) implements JobCommand {}

  /** Tells {@code watcher} where the job is, and then what happens to it. */
  record Watch(ActorRef<JobNews> watcher) implements JobCommand {}

  /** Ends the job; answered when that is durable. */
  record Cancel(ActorRef<JobStatus> replyTo) implements JobCommand {}

  /** Sets how many workers the job is to have at most; answered when that is durable. */
  record Scale(int workers, ActorRef<Scaled> replyTo) implements JobCommand {}

  /**
   * Answers {@link Scale}.
   *
   * @param objection why nothing was changed, or empty
   */
  record Scaled(JobStatus status, String objection) {}

  /**
   * Here are workers for a generation.
   *
   * @param workers by rank
   */
  record Assign(List<Worker> workers) implements JobCommand {}

  /** Here is a worker that may join once it has loaded the job. */
  record Load(Worker worker) implements JobCommand {}

  /** There are workers that have loaded the job and have nothing to do. */
  record Grow() implements JobCommand {}

  /** Here is a worker that says it belongs to the job's generation. */
  record TakeOver(Worker worker) implements JobCommand {}

  /**
   * The job has waited for workers long enough for people to be told.
   *
   * @param what a clause; empty where it lacks none any more
   */
  record Lacks(String what) implements JobCommand {}

  /** No worker came in time. */
  record GiveUp(String reason) implements JobCommand {}

  /**
   * A worker can't be reached any more.
   *
   * @param why what it did: "left"
   */
  record LoseWorker(Worker worker, String why) implements JobCommand {}

  /** A watcher has gone. */
  record Unwatch(ActorRef<JobNews> watcher) implements JobCommand {}

  /** A rank said something. */
  record Reported(RankReport report) implements JobCommand {}

  /** A generation that is to hand over hasn't yet: its ranks may not have heard of it. */
  record Remind(long generation) implements JobCommand {}

  /** A generation should have started by now. */
  record Overdue(long generation) implements JobCommand {}

  /** The journal has been read. */
  record TakeUp() implements JobCommand {}
}
