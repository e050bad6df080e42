package org.ftcluster.worker.rank;

import java.util.function.Consumer;
import org.apache.pekko.actor.typed.ActorRef;
import org.ftcluster.protocol.message.RankReport;
import org.ftcluster.protocol.message.RankReport.StepMetrics;
import org.ftcluster.protocol.message.RankReport.TrainingResult;
import org.ftcluster.protocol.message.WorkerCommand;
import org.ftcluster.protocol.message.WorkerCommand.PeerAddress;
import org.ftcluster.protocol.message.WorkerCommand.PrepareRank;
import org.ftcluster.worker.collective.CollectiveException;
import org.ftcluster.worker.training.RankTask;
import org.jspecify.annotations.Nullable;

/**
 * One generation's part of this worker: how far it is, and where its reports go. Reports carry the
 * generation they belong to, so whoever gets a late one can tell.
 */
final class RankOrder implements RankTask.RankEvents {
  private final PrepareRank command;
  private final Outbox outbox;
  private volatile Phase phase = Phase.PREPARING;
  private volatile @Nullable String stopReason;
  private long stoppedAtNanos;
  private volatile long handedOverStep = -1;
  private volatile long listenedToSinceNs = System.nanoTime();

  RankOrder(PrepareRank command, Consumer<RankReport> reports) {
    this.command = command;
    this.outbox = new Outbox(reports);
  }

  String job() {
    return command.job();
  }

  long generation() {
    return command.generation();
  }

  int rank() {
    return command.rank();
  }

  int worldSize() {
    return command.worldSize();
  }

  String yaml() {
    return command.jobYaml();
  }

  byte[] secret() {
    return command.secret();
  }

  boolean is(String job, long generation) {
    return job().equals(job) && generation() == generation;
  }

  /** Whether this is that generation of the job, or a newer one. */
  boolean isAtLeast(String job, long generation) {
    return job().equals(job) && generation() >= generation;
  }

  Phase phase() {
    return phase;
  }

  RankState state(Phase phase) {
    return new RankState(phase, job(), rank(), generation());
  }

  void enter(Phase phase) {
    this.phase = phase;
  }

  /** False when it was stopped already: only the first reason counts. */
  synchronized boolean stop(String reason) {
    if (stopReason != null) {
      return false;
    }
    stoppedAtNanos = System.nanoTime();
    stopReason = reason;
    return true;
  }

  /** Whether it was stopped before that {@link System#nanoTime}. */
  synchronized boolean wasStoppedBefore(long nanoTime) {
    return stopReason != null && stoppedAtNanos - nanoTime < 0;
  }

  boolean isStopped() {
    return stopReason != null;
  }

  void requireNotStopped() {
    String reason = stopReason;
    if (reason != null) {
      throw new CollectiveException(reason);
    }
  }

  void prepared(PeerAddress address, long completedStep, long steps) {
    outbox.send(
        new RankReport.Prepared(job(), generation(), rank(), address, completedStep, steps));
  }

  /** Another coordinator listens from now on; it is told what it may have missed. */
  void reportTo(Consumer<RankReport> coordinator, ActorRef<WorkerCommand> self) {
    listenedToSinceNs = System.nanoTime();
    outbox.redirect(coordinator, new RankReport.Resumed(job(), generation(), rank(), self));
  }

  /** Whether the coordinator that listens has begun to after that {@link System#nanoTime}. */
  boolean isHeardSince(long nanoTime) {
    return listenedToSinceNs - nanoTime > 0;
  }

  void noteHeard(String note) {
    outbox.heard(note);
  }

  /** Says once more that it has handed over, if it has. */
  void confirmHandOver() {
    long step = handedOverStep;
    if (step >= 0) {
      handedOver(step);
    }
  }

  @Override
  public void handedOver(long step) {
    handedOverStep = step;
    outbox.send(new RankReport.HandedOver(job(), generation(), rank(), step));
  }

  void leaving(String reason) {
    outbox.send(new RankReport.Leaving(job(), generation(), rank(), reason));
  }

  void failed(RankReport.Cause cause, String message) {
    outbox.send(new RankReport.Failed(job(), generation(), rank(), cause, message));
  }

  @Override
  public void started(long step) {
    outbox.send(new RankReport.Started(job(), generation(), rank(), step));
  }

  @Override
  public void stepCompleted(StepMetrics metrics) {
    outbox.send(new RankReport.StepCompleted(job(), generation(), rank(), metrics));
  }

  @Override
  public void noted(String note) {
    outbox.send(new RankReport.Noted(job(), generation(), rank(), note));
  }

  @Override
  public void paced(double slowness, RankReport.Pace pace) {
    outbox.send(new RankReport.Paced(job(), generation(), rank(), slowness, pace));
  }

  @Override
  public void completed(TrainingResult result) {
    outbox.send(new RankReport.Completed(job(), generation(), rank(), result));
  }
}
