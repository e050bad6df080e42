package org.ftcluster.coordinator.job;

import java.util.List;
import java.util.function.Supplier;
import org.ftcluster.coordinator.job.Decision.Alarm;
import org.ftcluster.coordinator.job.Decision.Announce;
import org.ftcluster.coordinator.job.Decision.AskForWorkers;
import org.ftcluster.coordinator.job.Decision.AskWhoGoesOn;
import org.ftcluster.coordinator.job.Decision.ConfirmNote;
import org.ftcluster.coordinator.job.Decision.HandOver;
import org.ftcluster.coordinator.job.Decision.NoAlarm;
import org.ftcluster.coordinator.job.Decision.Prepare;
import org.ftcluster.coordinator.job.Decision.Release;
import org.ftcluster.coordinator.job.Decision.Reminder;
import org.ftcluster.coordinator.job.Decision.Shun;
import org.ftcluster.coordinator.job.Decision.Start;
import org.ftcluster.coordinator.job.Decision.Stop;
import org.ftcluster.coordinator.job.Decision.TakeOver;
import org.ftcluster.coordinator.job.Decision.TellNote;
import org.ftcluster.coordinator.job.Decision.TellStep;
import org.ftcluster.protocol.cluster.ClusterSystem;
import org.ftcluster.protocol.message.RankReport;
import org.ftcluster.protocol.message.RankReport.StepMetrics;
import org.jspecify.annotations.Nullable;

/**
 * Decides what a job does, and does nothing itself. It remembers what isn't durable: the present
 * generation, how far its ranks are, and what went wrong lately.
 *
 * <p>A generation goes: the owner assigns workers; each is told to prepare, and says when it has;
 * all are told to start, with the rank that holds the newest state; reports flow. When one is lost,
 * the others are stopped, and the owner is asked for workers again. When workers come or go as
 * planned, the ranks are asked to hand over: they end after a step, all after the same, and the
 * owner is asked for workers then. Reports of another generation than the present one are dropped.
 */
final class Conductor {
  private final Patience patience;
  private final Setbacks setbacks;

  private @Nullable Generation generation;
  private @Nullable StepMetrics lastStep;

  /** The one before, whose ranks may still say why it ended. */
  private @Nullable Generation ended;

  Conductor(Patience patience) {
    this.patience = patience;
    this.setbacks = new Setbacks(patience.again());
  }

  /** Of the present generation. */
  int workers() {
    return generation == null ? 0 : generation.workers().size();
  }

  /** The last step that was reported since the coordinator began; null before the first. */
  @Nullable StepMetrics lastStep() {
    return lastStep;
  }

  /** The last completed step, as far as anyone told. */
  long step(JobRecord record) {
    return lastStep == null ? record.step() : Math.max(record.step(), lastStep.step());
  }

  /** Goes on where an earlier coordinator, or an earlier run of the job's actor, left off. */
  Decision takeUp(JobRecord record) {
    return switch (record.state()) {
      case SUBMITTED -> Decision.after(new JobEvent.Queued(), new Announce(), new AskForWorkers());
      case QUEUED, RECOVERING -> Decision.to(new Announce(), new AskForWorkers());
      case RUNNING -> resume(record);
      case STARTING ->
          Decision.after(
              new JobEvent.GenerationLost(
                  record.generation(), step(record), "the coordinator started again"),
              new Announce(),
              new AskForWorkers());
      case PAUSED, SUCCEEDED, FAILED, CANCELLED -> Decision.NOTHING;
    };
  }

  /** Its ranks need no coordinator while they train, so they may well have gone on. */
  private Decision resume(JobRecord record) {
    Generation running = Generation.resumed(record.generation(), record.workers().size());
    generation = running;
    return Decision.to(
        new Announce(), new AskWhoGoesOn(running), new Alarm(running, patience.resume()));
  }

  /** A worker says that it belongs to the present generation. */
  Decision takeOver(Worker worker) {
    return generation != null && generation.offered(worker)
        ? Decision.to(new TakeOver(worker, generation))
        : Decision.NOTHING;
  }

  private Decision resumed(JobRecord record, Generation current, RankReport.Resumed resumed) {
    String node = ClusterSystem.node(resumed.worker().path().address());
    Worker worker = current.offered(node).orElseGet(() -> new Worker(node, resumed.worker()));
    if (!current.found(resumed.rank(), worker)) {
      return Decision.NOTHING;
    }
    Decision goOn =
        Decision.to(
            new NoAlarm(),
            new Announce(),
            new TellNote("A coordinator began anew; training went on meanwhile."));
    return goOn.then(
        current.isHandingOver()
            ? Decision.to(new HandOver(current), new Reminder(current))
            : shrink(record.state(), record.demand().max()));
  }

  /** Begins a generation. */
  Decision assign(JobRecord record, List<Worker> workers) {
    if (generation != null || !record.state().allows(JobEvent.GenerationPlanned.class)) {
      return Decision.NOTHING; // ended or paused meanwhile, which the owner has been told
    }
    Generation planned = new Generation(record.generation() + 1, workers);
    generation = planned;
    return Decision.after(
        new JobEvent.GenerationPlanned(
            planned.number(), workers.stream().map(Worker::node).toList()),
        new Prepare(planned),
        new Alarm(planned, patience.prepare()),
        new Announce());
  }

  /** The demand has changed, to what {@code scaled} says. */
  Decision scale(JobRecord record, JobEvent.Scaled scaled) {
    if (generation == null && record.state().allows(JobEvent.GenerationPlanned.class)) {
      return Decision.after(scaled, new Announce(), new AskForWorkers());
    }
    Decision shrink = shrink(record.state(), scaled.workers());
    return Decision.after(scaled, new Announce()).then(shrink);
  }

  /** There are workers that have loaded the job, and nothing to do. */
  Decision grow(JobRecord record) {
    return generation != null && generation.size() < record.demand().usable(Integer.MAX_VALUE)
        ? handOver(record.state(), "there are more workers")
        : Decision.NOTHING;
  }

  /** A generation that has more workers than it should hands over. */
  private Decision shrink(JobState state, int most) {
    return generation != null && generation.size() > most
        ? handOver(state, "it is to have %d workers".formatted(most))
        : Decision.NOTHING;
  }

  private Decision handOver(JobState state, String reason) {
    return generation != null && state == JobState.RUNNING && generation.handOver(reason)
        ? Decision.to(
            new TellNote("The workers change after this step: %s.".formatted(reason)),
            new HandOver(generation),
            new Reminder(generation))
        : Decision.NOTHING;
  }

  /** Some ranks may not have heard that they are to hand over. */
  Decision remind(long number) {
    return generation != null && generation.number() == number
        ? Decision.to(new HandOver(generation))
        : Decision.NOTHING;
  }

  /** No worker came in time. */
  Decision giveUp(JobRecord record, String reason) {
    return generation == null ? fail(record, reason) : Decision.NOTHING;
  }

  /** A worker can't be reached. */
  Decision loseWorker(JobRecord record, Worker worker, String why) {
    return generation != null && generation.has(worker)
        ? recover(record, generation, "the worker %s %s".formatted(worker.node(), why))
        : Decision.NOTHING;
  }

  /** A generation should have started by now. */
  Decision overdue(JobRecord record, long number) {
    if (generation == null || generation.number() != number) {
      return Decision.NOTHING;
    }
    if (generation.isResumedByNobody() && generation.waitLonger()) {
      return Decision.to(new Alarm(generation, patience.resume()));
    }
    return recover(record, generation, Notes.overdue(generation, patience));
  }

  /** Someone asked for the job's end. */
  Decision cancel(JobRecord record) {
    return record.state().allows(JobEvent.Cancelled.class)
        ? end(new JobEvent.Cancelled(step(record)))
        : Decision.NOTHING;
  }

  /** A rank says something. */
  Decision report(JobRecord record, RankReport report) {
    if (generation != null && report.generation() == generation.number()) {
      return report(record, generation, report);
    }
    return ended != null
            && report.generation() == ended.number()
            && report instanceof RankReport.Failed failed
        ? failed(record, ended, failed)
        : Decision.NOTHING;
  }

  private Decision report(JobRecord record, Generation current, RankReport report) {
    return switch (report) {
      case RankReport.Prepared prepared ->
          current.prepared(prepared)
              ? Decision.to(new Start(current), new Alarm(current, patience.start()))
              : Decision.NOTHING;
      case RankReport.Started started ->
          record.state() == JobState.RUNNING
              ? Decision.NOTHING
              : started(record, current, Math.max(started.step(), 0));
      case RankReport.Resumed resumed -> resumed(record, current, resumed);
      case RankReport.StepCompleted completed -> {
        lastStep = completed.metrics();
        setbacks.stepCompleted();
        yield Decision.to(new TellStep(completed.metrics()));
      }
      case RankReport.Noted noted ->
          current
              .worker(noted.rank())
              .map(
                  worker -> Decision.to(new TellNote(noted.note()), new ConfirmNote(worker, noted)))
              .orElseGet(() -> Decision.to(new TellNote(noted.note())));
      case RankReport.Paced paced ->
          Decision.to(new TellNote(Notes.pace(current.nameOf(paced.rank()), paced)));
      case RankReport.Leaving leaving ->
          handOver(
              record.state(),
              "%s leaves: %s".formatted(current.nameOf(leaving.rank()), leaving.reason()));
      case RankReport.HandedOver over ->
          record.state() == JobState.RUNNING && current.handedOver(over.rank())
              ? goOn(
                  current,
                  new JobEvent.GenerationHandedOver(
                      current.number(), over.step(), current.handOverReason()))
              : Decision.NOTHING;
      case RankReport.Completed completed ->
          record.state() == JobState.RUNNING
              ? end(new JobEvent.Succeeded(completed.result()))
              : Decision.NOTHING;
      case RankReport.Failed failed -> failed(record, current, failed);
    };
  }

  private Decision started(JobRecord record, Generation current, long step) {
    Decision shrink = shrink(JobState.RUNNING, record.demand().max());
    return Decision.after(
            new JobEvent.GenerationStarted(current.number(), step, current.steps()),
            new NoAlarm(),
            new Announce())
        .then(shrink);
  }

  /**
   * @param in the present generation, or the one before: peers often notice that a rank failed
   *     before that has said why
   */
  private Decision failed(JobRecord record, Generation in, RankReport.Failed failed) {
    String rank = in.nameOf(failed.rank());
    String what = "%s: %s".formatted(rank, failed.message());
    boolean late = in != generation;
    Supplier<Decision> goOn = () -> late ? postpone() : recover(record, in, what);
    return switch (failed.cause()) {
      case BAD_JOB -> fail(record, failed.message());
      case LOST_PEER -> goOn.get();
      case WORKER_ERROR ->
          setbacks
              .workerError(rank, failed.message())
              .map(tooMuch -> fail(record, tooMuch))
              .orElseGet(
                  () ->
                      goOn.get()
                          .then(
                              late
                                  ? Decision.to(new TellNote(Notes.sentence(what)))
                                  : Decision.NOTHING)
                          .then(shun(in, failed.rank())));
    };
  }

  /** To be carried out before workers are assigned again, which takes them a round of questions. */
  private Decision shun(Generation in, int rank) {
    return in.worker(rank)
        .map(Worker::node)
        .filter(node -> setbacks.isRepeated(node, in.number()))
        .map(node -> Decision.to(new Shun(node), new TellNote(Notes.shunned(node))))
        .orElse(Decision.NOTHING);
  }

  /** What was asked for already is to come later. */
  private Decision postpone() {
    return generation == null && !setbacks.backOff().isZero()
        ? Decision.to(new AskForWorkers(setbacks.backOff()))
        : Decision.NOTHING;
  }

  private Decision recover(JobRecord record, Generation lost, String reason) {
    return setbacks
        .generationLost(reason)
        .map(tooMuch -> fail(record, tooMuch))
        .orElseGet(
            () ->
                goOn(lost, new JobEvent.GenerationLost(lost.number(), step(record), later(reason)))
                    .then(Decision.to(new Stop(lost, reason))));
  }

  private String later(String reason) {
    long seconds = setbacks.backOff().toSeconds();
    return seconds == 0 ? reason : "%s; tried again after %d s".formatted(reason, seconds);
  }

  /** With other workers. */
  private Decision goOn(Generation over, JobEvent event) {
    ended = over;
    generation = null;
    return Decision.after(
        event, new NoAlarm(), new Announce(), new AskForWorkers(setbacks.backOff()));
  }

  private Decision fail(JobRecord record, String reason) {
    return record.state().allows(JobEvent.Failed.class)
        ? end(new JobEvent.Failed(step(record), reason))
        : Decision.NOTHING;
  }

  private Decision end(JobEvent event) {
    Generation last = generation;
    generation = null;
    return last == null
        ? Decision.after(event, new Announce())
        : Decision.after(event, new Release(last), new NoAlarm(), new Announce());
  }
}
