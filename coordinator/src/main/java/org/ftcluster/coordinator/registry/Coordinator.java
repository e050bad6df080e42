package org.ftcluster.coordinator.registry;

import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.apache.pekko.actor.typed.ActorRef;
import org.apache.pekko.actor.typed.Behavior;
import org.apache.pekko.actor.typed.SupervisorStrategy;
import org.apache.pekko.actor.typed.javadsl.ActorContext;
import org.apache.pekko.actor.typed.javadsl.Behaviors;
import org.apache.pekko.actor.typed.javadsl.StashBuffer;
import org.apache.pekko.actor.typed.receptionist.Receptionist;
import org.apache.pekko.cluster.ClusterEvent;
import org.apache.pekko.cluster.typed.Cluster;
import org.apache.pekko.cluster.typed.Subscribe;
import org.ftcluster.coordinator.job.Job;
import org.ftcluster.coordinator.job.JobCommand;
import org.ftcluster.coordinator.job.JobEvent;
import org.ftcluster.coordinator.job.JobSignal;
import org.ftcluster.coordinator.job.JobState;
import org.ftcluster.coordinator.job.JobStatus;
import org.ftcluster.coordinator.job.Patience;
import org.ftcluster.coordinator.job.Worker;
import org.ftcluster.protocol.cluster.ClusterSystem;
import org.ftcluster.protocol.cluster.Probe;
import org.ftcluster.protocol.cluster.Unheard;
import org.ftcluster.protocol.message.Epoch;
import org.ftcluster.protocol.message.WorkerCommand;
import org.ftcluster.protocol.message.WorkerDescription;

/**
 * The cluster's singleton: keeps an actor for each job, follows which workers there are, and gives
 * idle ones to jobs that wait. Clients are answered once every job has been read back from the
 * journal.
 */
public final class Coordinator {
  private static final Duration TICK = Duration.ofSeconds(1);

  /** After so long, a job that can't be read back holds up nobody any more. */
  private static final Duration READ_BACK = Duration.ofSeconds(10);

  /** Before what has stopped is started again. */
  private static final Duration RESTART = Duration.ofSeconds(1);

  private static final int MAX_EARLY_REQUESTS = 10_000;

  /** What it is told. */
  public sealed interface Command {}

  /** What clients ask. */
  public sealed interface Request extends Command {}

  /** Answered by the job when it is durable. */
  public record Submit(JobEvent.Submitted job, ActorRef<JobStatus> replyTo) implements Request {}

  /** All jobs, in the order they were submitted in. */
  public record ListJobs(ActorRef<Jobs> replyTo) implements Request {}

  /** A job's own actor. */
  public record FindJob(String job, ActorRef<FoundJob> replyTo) implements Request {}

  /** All workers, as they described themselves within the last seconds. */
  public record ListWorkers(ActorRef<Workers> replyTo) implements Request {}

  /** The worker on a node is to hand over and leave. */
  public record Drain(String node, ActorRef<Draining> replyTo) implements Request {}

  /**
   * Answers {@link Drain}.
   *
   * @param known whether there is such a worker
   * @param worker as it describes itself now; empty where it doesn't answer
   */
  public record Draining(boolean known, Optional<WorkerDescription> worker) {}

  /** Answers {@link ListJobs}. */
  public record Jobs(List<JobStatus> jobs) {}

  /** Answers {@link FindJob}; empty where there is no such job. */
  public record FoundJob(Optional<ActorRef<JobCommand>> actor) {}

  /** Answers {@link ListWorkers}. */
  public record Workers(List<WorkerDescription> workers) {}

  private record Known(List<String> jobs) implements Command {}

  private record Numbered(String job, Submit submission) implements Command {}

  private record NotNumbered() implements Command {}

  private record IndexStopped() implements Command {}

  private record StartIndex() implements Command {}

  private record JobStopped(String job) implements Command {}

  private record StartJob(String job) implements Command {}

  private record ReadBackOverdue() implements Command {}

  private record Signalled(JobSignal signal) implements Command {}

  private record Listed(Set<ActorRef<WorkerCommand>> workers) implements Command {}

  record Described(Worker worker, WorkerDescription description) implements Command {}

  record DidNotAnswer(Worker worker) implements Command {}

  record Probed(Worker worker, Probe probe) implements Command {}

  private record Unreachable() implements Command {}

  record Told(ActorRef<Draining> replyTo, Draining answer) implements Command {}

  private record Tick() implements Command {}

  /** Whether this is still the coordinator that acts. */
  private record Checked(boolean relieved) implements Command {}

  private final ActorContext<Command> context;
  private final StashBuffer<Command> early;
  private final Patience patience;
  private final ActorRef<JobSignal> signals;
  private final JobTable jobs = new JobTable();
  private final WorkerCalls calls;
  private final org.apache.pekko.cluster.Cluster cluster;
  private final Staffing staffing;
  private final Term term;
  private final Epoch epoch;
  private boolean checking;

  private ActorRef<JobIndex.Number> index;

  /** The singleton's behaviour. */
  public static Behavior<Command> create(Patience patience, Term term) {
    return Behaviors.supervise(
            Behaviors.withStash(
                MAX_EARLY_REQUESTS,
                (StashBuffer<Command> early) ->
                    Behaviors.<Command>setup(
                        context ->
                            Behaviors.withTimers(
                                timers -> {
                                  Coordinator coordinator =
                                      new Coordinator(context, early, patience, term);
                                  timers.startTimerWithFixedDelay(new Tick(), TICK);
                                  timers.startSingleTimer(new ReadBackOverdue(), READ_BACK);
                                  return Behaviors.receiveMessage(coordinator::onCommand);
                                }))))
        .onFailure(SupervisorStrategy.restartWithBackoff(RESTART, READ_BACK, 0.2));
  }

  private Coordinator(
      ActorContext<Command> context, StashBuffer<Command> early, Patience patience, Term term) {
    this.context = context;
    this.term = term;
    this.epoch = term.begin();
    this.early = early;
    this.patience = patience;
    this.signals = context.messageAdapter(JobSignal.class, Signalled::new);
    this.calls = new WorkerCalls(context, epoch, patience);
    this.staffing = new Staffing(patience, jobs::number, new StaffingOrders(jobs, calls));
    this.index = startIndex();
    ActorRef<Receptionist.Listing> listings =
        context.messageAdapter(
            Receptionist.Listing.class,
            listing -> new Listed(listing.getAllServiceInstances(WorkerCommand.KEY)));
    context.getSystem().receptionist().tell(Receptionist.subscribe(WorkerCommand.KEY, listings));
    ActorRef<ClusterEvent.UnreachableMember> verdicts =
        context.messageAdapter(ClusterEvent.UnreachableMember.class, verdict -> new Unreachable());
    cluster = org.apache.pekko.cluster.Cluster.get(context.getSystem().classicSystem());
    Cluster.get(context.getSystem())
        .subscriptions()
        .tell(Subscribe.create(verdicts, ClusterEvent.UnreachableMember.class));
  }

  private Behavior<Command> onCommand(Command command) {
    switch (command) {
      case Request request when jobs.isReadingBack() -> early.stash(request);
      case Submit submit -> number(submit);
      case ListJobs list -> list.replyTo().tell(new Jobs(jobs.inOrder()));
      case FindJob find -> find.replyTo().tell(new FoundJob(jobs.find(find.job())));
      case Drain drain ->
          staffing
              .find(drain.node())
              .ifPresentOrElse(
                  worker -> calls.drain(worker, drain.replyTo()),
                  () -> drain.replyTo().tell(new Draining(false, Optional.empty())));
      case ListWorkers list -> list.replyTo().tell(new Workers(staffing.descriptions()));
      case Numbered numbered ->
          startJob(numbered.job())
              .tell(
                  new JobCommand.Submit(
                      numbered.submission().job(), numbered.submission().replyTo()));
      case NotNumbered ignored -> {} // the client hears of it when its call times out
      case Known known -> {
        jobs.known(known.jobs()).forEach(this::startJob);
        return goOnIfRead();
      }
      case ReadBackOverdue ignored -> {
        Set<String> unread = jobs.giveUpReading();
        if (!unread.isEmpty()) {
          context.getLog().warn("jobs that can't be read from the journal: {}", unread);
        }
        return goOnIfRead();
      }
      case IndexStopped ignored ->
          context.scheduleOnce(RESTART, context.getSelf(), new StartIndex());
      case StartIndex ignored -> index = startIndex();
      case JobStopped stopped ->
          context.scheduleOnce(RESTART, context.getSelf(), new StartJob(stopped.job()));
      case StartJob start -> startJob(start.job());
      case Signalled signalled -> {
        onSignal(signalled.signal());
        return goOnIfRead();
      }
      case Listed listed -> onWorkers(listed.workers());
      case Described described -> onAnswer(described);
      case DidNotAnswer silent -> calls.probe(silent.worker());
      case Probed probed -> {
        switch (probed.probe()) {
          case REFUSED -> staffing.gone(probed.worker());
          case REACHED, SILENT -> staffing.answered(probed.worker(), Optional.empty());
        }
      }
      case Unreachable ignored -> giveUpUnheard();
      case Told told -> told.replyTo().tell(told.answer());
      case Tick ignored -> {
        staffing.tick(Duration.ofNanos(System.nanoTime()));
        giveUpUnheard(); // whom others couldn't reach before we couldn't
        checkTerm();
      }
      case Checked checked -> {
        checking = false;
        if (checked.relieved()) {
          context.getLog().warn("another coordinator has begun to act; this one ends");
          term.relieved();
          return Behaviors.stopped();
        }
      }
    }
    return Behaviors.same();
  }

  private void giveUpUnheard() {
    Unheard.in(cluster).forEach(node -> staffing.unreachable(ClusterSystem.node(node)));
  }

  /** The database may take its time, which nobody waits for. */
  private void checkTerm() {
    if (!checking) {
      checking = true;
      context.pipeToSelf(
          term.isRelieved(epoch), (relieved, failure) -> new Checked(relieved != null && relieved));
    }
  }

  /** Lets clients and waiting jobs go on, if it was for the last job that they waited. */
  private Behavior<Command> goOnIfRead() {
    if (jobs.isReadingBack()) {
      return Behaviors.same();
    }
    staffing.open();
    if (early.isEmpty()) {
      return Behaviors.same();
    }
    return early.unstashAll(Behaviors.receiveMessage(this::onCommand));
  }

  private ActorRef<JobIndex.Number> startIndex() {
    ActorRef<JobIndex.Number> started =
        context.spawnAnonymous(
            JobIndex.create(
                epoch,
                context.messageAdapter(JobIndex.Known.class, known -> new Known(known.jobs()))));
    context.watchWith(started, new IndexStopped());
    return started;
  }

  private void number(Submit submit) {
    context.ask(
        JobIndex.Numbered.class,
        index,
        READ_BACK,
        (ActorRef<JobIndex.Numbered> replyTo) -> new JobIndex.Number(submit.job().name(), replyTo),
        (numbered, failure) ->
            numbered == null ? new NotNumbered() : new Numbered(numbered.job(), submit));
  }

  private ActorRef<JobCommand> startJob(String job) {
    ActorRef<JobCommand> actor = context.spawnAnonymous(Job.create(job, epoch, signals, patience));
    context.watchWith(actor, new JobStopped(job));
    jobs.started(job, actor);
    return actor;
  }

  private void onSignal(JobSignal signal) {
    switch (signal) {
      case JobSignal.Unknown unknown -> jobs.isUnknown(unknown.job());
      case JobSignal.Changed changed -> {
        JobStatus status = changed.status();
        jobs.changed(status);
        staffing.demands(status.job(), status.demand());
        if (status.state().isTerminal() || status.state() == JobState.PAUSED) {
          staffing.dismiss(status.job());
        }
      }
      case JobSignal.WantsWorkers wish -> staffing.wants(wish);
      case JobSignal.Shuns shuns -> staffing.shuns(shuns.job(), shuns.node());
      case JobSignal.LooksForWorkers search -> staffing.looksFor(search.job(), search.generation());
    }
  }

  private void onWorkers(Set<ActorRef<WorkerCommand>> listed) {
    List<Worker> present =
        listed.stream()
            .map(ref -> new Worker(ClusterSystem.node(ref.path().address()), ref))
            .toList();
    staffing
        .present(present)
        .forEach(
            loss -> jobs.actor(loss.job()).tell(new JobCommand.LoseWorker(loss.worker(), "left")));
  }

  private void onAnswer(Described described) {
    if (!jobs.isReadingBack()) {
      WorkerDescription found = described.description();
      Leftovers.order(found, jobs.status(found.job()).orElse(null))
          .ifPresent(order -> described.worker().ref().tell(order));
    }
    staffing.answered(described.worker(), Optional.of(described.description()));
  }
}
