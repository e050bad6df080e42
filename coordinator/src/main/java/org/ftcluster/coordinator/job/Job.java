package org.ftcluster.coordinator.job;

import java.util.List;
import java.util.Objects;
import java.util.function.Supplier;
import org.apache.pekko.actor.typed.ActorRef;
import org.apache.pekko.actor.typed.Behavior;
import org.apache.pekko.actor.typed.javadsl.ActorContext;
import org.apache.pekko.actor.typed.javadsl.Behaviors;
import org.apache.pekko.actor.typed.javadsl.TimerScheduler;
import org.apache.pekko.persistence.typed.PersistenceId;
import org.apache.pekko.persistence.typed.RecoveryCompleted;
import org.apache.pekko.persistence.typed.javadsl.CommandHandler;
import org.apache.pekko.persistence.typed.javadsl.Effect;
import org.apache.pekko.persistence.typed.javadsl.EffectBuilder;
import org.apache.pekko.persistence.typed.javadsl.EventHandler;
import org.apache.pekko.persistence.typed.javadsl.EventSourcedBehavior;
import org.apache.pekko.persistence.typed.javadsl.SignalHandler;
import org.ftcluster.protocol.message.RankReport;
import org.ftcluster.protocol.message.RankReport.StepMetrics;
import org.jspecify.annotations.Nullable;

/**
 * One job, from its submission to its end. What {@link JobState} says about its life is durable;
 * what the ranks of the present generation have said is kept in memory, and a new coordinator
 * begins with a new generation.
 *
 * <p>It stops when an event can't be made durable; whoever starts it again finds it where its last
 * event left it.
 *
 * <p>A generation goes: the owner assigns workers; each is told to prepare, and says when it has;
 * all are told to start, with the rank that holds the newest state; reports flow. When one is lost,
 * the others are stopped, and the owner is asked for workers again. Reports of another generation
 * than the present one are dropped.
 */
public final class Job extends EventSourcedBehavior<Job.Command, JobEvent, @Nullable JobRecord> {
  /** What a job is told. */
  public sealed interface Command {}

  /** Begins the job's life; answered when it is durable. */
  public record Submit(JobEvent.Submitted job, ActorRef<JobStatus> replyTo) implements Command {}

  /** Tells {@code watcher} where the job is, and then what happens to it. */
  public record Watch(ActorRef<JobNews> watcher) implements Command {}

  /** Ends the job; answered when that is durable. */
  public record Cancel(ActorRef<JobStatus> replyTo) implements Command {}

  /**
   * Here are workers for a generation.
   *
   * @param workers by rank
   */
  public record Assign(List<Worker> workers) implements Command {}

  /** No worker came in time. */
  public record GiveUp(String reason) implements Command {}

  /** A worker can't be reached any more. */
  public record LoseWorker(Worker worker) implements Command {}

  private record Unwatch(ActorRef<JobNews> watcher) implements Command {}

  private record Reported(RankReport report) implements Command {}

  private record Overdue(long generation) implements Command {}

  private record TakeUp() implements Command {}

  private final String job;
  private final Patience patience;
  private final ActorContext<Command> context;
  private final TimerScheduler<Command> timers;
  private final Audience audience;
  private final Ranks ranks;
  private final Setbacks setbacks = new Setbacks();

  private @Nullable Generation generation;
  private @Nullable StepMetrics lastStep;

  /** The one before, whose ranks may still say why it ended. */
  private @Nullable Generation lostGeneration;

  /** The behaviour of the job with this id, new or known to the journal. */
  public static Behavior<Command> create(String job, ActorRef<JobSignal> owner, Patience patience) {
    return Behaviors.setup(
        context -> Behaviors.withTimers(timers -> new Job(job, owner, patience, context, timers)));
  }

  private Job(
      String job,
      ActorRef<JobSignal> owner,
      Patience patience,
      ActorContext<Command> context,
      TimerScheduler<Command> timers) {
    super(PersistenceId.of("job", job));
    this.job = job;
    this.patience = patience;
    this.context = context;
    this.timers = timers;
    this.audience = new Audience(owner);
    this.ranks = new Ranks(job, context.messageAdapter(RankReport.class, Reported::new));
  }

  @Override
  public @Nullable JobRecord emptyState() {
    return null;
  }

  @Override
  public EventHandler<@Nullable JobRecord, JobEvent> eventHandler() {
    return (record, event) ->
        record == null ? JobRecord.submitted(job, (JobEvent.Submitted) event) : record.after(event);
  }

  @Override
  public CommandHandler<Command, JobEvent, @Nullable JobRecord> commandHandler() {
    return (record, command) ->
        record != null
            ? onCommand(record, command)
            : command instanceof Submit submit ? submit(submit) : Effect().none();
  }

  @Override
  public SignalHandler<@Nullable JobRecord> signalHandler() {
    return newSignalHandlerBuilder()
        .onSignal(RecoveryCompleted.instance(), this::recovered)
        .build();
  }

  private Effect<JobEvent, @Nullable JobRecord> onCommand(JobRecord record, Command command) {
    return switch (command) {
      case Submit submit -> reply(submit.replyTo(), record);
      case Watch watch -> watch(record, watch.watcher());
      case Unwatch unwatch -> {
        audience.remove(unwatch.watcher());
        yield Effect().none();
      }
      case Cancel cancel ->
          record.state().allows(JobEvent.Cancelled.class)
              ? end(new JobEvent.Cancelled(step(record))).thenReply(cancel.replyTo(), this::status)
              : reply(cancel.replyTo(), record);
      case Assign assign -> plan(record, assign.workers());
      case GiveUp giveUp -> generation == null ? fail(record, giveUp.reason()) : Effect().none();
      case LoseWorker lost ->
          generation != null && generation.has(lost.worker())
              ? recover(record, generation, "the worker %s left".formatted(lost.worker().node()))
              : Effect().none();
      case Reported reported -> onReport(record, reported.report());
      case Overdue overdue ->
          generation != null && overdue.generation() == generation.number()
              ? overdue(record, generation)
              : Effect().none();
      case TakeUp ignored -> takeUp(record);
    };
  }

  private void recovered(@Nullable JobRecord record) {
    if (record == null) {
      audience.signal(new JobSignal.Unknown(job));
    } else {
      audience.changed(status(record));
      context.getSelf().tell(new TakeUp());
    }
  }

  /** Goes on where an earlier coordinator, or an earlier run of this actor, left off. */
  private Effect<JobEvent, @Nullable JobRecord> takeUp(JobRecord record) {
    return switch (record.state()) {
      case SUBMITTED -> Effect().persist(new JobEvent.Queued()).thenRun(this::wantWorkers);
      case QUEUED, RECOVERING -> Effect().none().thenRun(this::wantWorkers);
      case STARTING, RUNNING ->
          Effect()
              .persist(
                  new JobEvent.GenerationLost(
                      record.generation(), step(record), "the coordinator started again"))
              .thenRun(this::wantWorkers);
      case PAUSED, SUCCEEDED, FAILED, CANCELLED -> Effect().none();
    };
  }

  private Effect<JobEvent, @Nullable JobRecord> submit(Submit submit) {
    return Effect()
        .persist(List.of(submit.job(), new JobEvent.Queued()))
        .thenRun(this::wantWorkers)
        .thenReply(submit.replyTo(), this::status);
  }

  private Effect<JobEvent, @Nullable JobRecord> watch(JobRecord record, ActorRef<JobNews> watcher) {
    watcher.tell(new JobNews.Changed(status(record)));
    if (lastStep != null && !record.state().isTerminal()) {
      watcher.tell(new JobNews.Stepped(status(record), lastStep));
    }
    audience.add(watcher);
    context.watchWith(watcher, new Unwatch(watcher));
    return Effect().none();
  }

  private Effect<JobEvent, @Nullable JobRecord> plan(JobRecord record, List<Worker> workers) {
    if (generation != null || !record.state().allows(JobEvent.GenerationPlanned.class)) {
      return Effect().none(); // ended or paused meanwhile, which the owner has been told
    }
    long number = record.generation() + 1;
    return Effect()
        .persist(
            new JobEvent.GenerationPlanned(number, workers.stream().map(Worker::node).toList()))
        .thenRun(
            planned -> {
              generation = new Generation(number, workers);
              ranks.prepare(generation, record.yaml());
              timers.startSingleTimer(new Overdue(number), patience.prepare());
              announce(planned);
            });
  }

  private Effect<JobEvent, @Nullable JobRecord> onReport(JobRecord record, RankReport report) {
    if (generation != null && report.generation() == generation.number()) {
      return onReport(record, generation, report);
    }
    return lostGeneration != null
            && report.generation() == lostGeneration.number()
            && report instanceof RankReport.Failed failed
        ? failed(record, lostGeneration, failed)
        : Effect().none();
  }

  private Effect<JobEvent, @Nullable JobRecord> onReport(
      JobRecord record, Generation current, RankReport report) {
    return switch (report) {
      case RankReport.Prepared prepared -> {
        if (current.prepared(prepared)) {
          ranks.start(current);
          timers.startSingleTimer(new Overdue(current.number()), patience.start());
        }
        yield Effect().none();
      }
      case RankReport.Started started ->
          record.state() == JobState.RUNNING
              ? Effect().none()
              : Effect().persist(started(current, started.step())).thenRun(this::announce);
      case RankReport.StepCompleted completed -> {
        lastStep = completed.metrics();
        setbacks.stepCompleted();
        audience.stepped(status(record), completed.metrics());
        yield Effect().none();
      }
      case RankReport.Noted noted -> {
        audience.noted(status(record), noted.note());
        yield Effect().none();
      }
      case RankReport.Completed completed ->
          record.state() == JobState.RUNNING
              ? end(new JobEvent.Succeeded(completed.result()))
              : Effect().none();
      case RankReport.Failed failed -> failed(record, current, failed);
    };
  }

  private JobEvent started(Generation current, long step) {
    timers.cancel(new Overdue(current.number()));
    return new JobEvent.GenerationStarted(current.number(), Math.max(step, 0), current.steps());
  }

  /**
   * @param in the present generation, or the one before: peers often notice that a rank failed
   *     before that has said why
   */
  private Effect<JobEvent, @Nullable JobRecord> failed(
      JobRecord record, Generation in, RankReport.Failed failed) {
    String rank = in.nameOf(failed.rank());
    Supplier<Effect<JobEvent, @Nullable JobRecord>> goOn =
        () ->
            in == generation
                ? recover(record, in, "%s: %s".formatted(rank, failed.message()))
                : Effect().none();
    return switch (failed.cause()) {
      case BAD_JOB -> fail(record, failed.message());
      case LOST_PEER -> goOn.get();
      case WORKER_ERROR ->
          setbacks
              .workerError(rank, failed.message())
              .map(tooMuch -> fail(record, tooMuch))
              .orElseGet(goOn);
    };
  }

  private Effect<JobEvent, @Nullable JobRecord> overdue(JobRecord record, Generation current) {
    return recover(
        record,
        current,
        current.isPrepared()
            ? "the ranks did not connect within %d s".formatted(patience.start().toSeconds())
            : "%s did not prepare within %d s"
                .formatted(current.unprepared(), patience.prepare().toSeconds()));
  }

  private Effect<JobEvent, @Nullable JobRecord> recover(
      JobRecord record, Generation lost, String reason) {
    return setbacks
        .generationLost(reason)
        .map(tooMuch -> fail(record, tooMuch))
        .orElseGet(
            () ->
                Effect()
                    .persist(new JobEvent.GenerationLost(lost.number(), step(record), reason))
                    .thenRun(
                        waiting -> {
                          ranks.stop(lost, reason);
                          forgetGeneration();
                          wantWorkers(waiting);
                        }));
  }

  private Effect<JobEvent, @Nullable JobRecord> fail(JobRecord record, String reason) {
    return record.state().allows(JobEvent.Failed.class)
        ? end(new JobEvent.Failed(step(record), reason))
        : Effect().none();
  }

  private EffectBuilder<JobEvent, @Nullable JobRecord> end(JobEvent event) {
    return Effect()
        .persist(event)
        .thenRun(
            ended -> {
              if (generation != null) {
                ranks.release(generation);
              }
              forgetGeneration();
              announce(ended);
            });
  }

  private void wantWorkers(@Nullable JobRecord record) {
    JobRecord waiting = Objects.requireNonNull(record);
    announce(waiting);
    audience.signal(
        new JobSignal.WantsWorkers(job, waiting.demand(), waiting.state() == JobState.RECOVERING));
  }

  private void forgetGeneration() {
    if (generation != null) {
      timers.cancel(new Overdue(generation.number()));
      lostGeneration = generation;
    }
    generation = null;
  }

  private void announce(@Nullable JobRecord record) {
    audience.changed(status(record));
  }

  private Effect<JobEvent, @Nullable JobRecord> reply(
      ActorRef<JobStatus> replyTo, JobRecord record) {
    replyTo.tell(status(record));
    return Effect().none();
  }

  /** The last completed step, as far as anyone told. */
  private long step(JobRecord record) {
    return lastStep == null ? record.step() : Math.max(record.step(), lastStep.step());
  }

  private JobStatus status(@Nullable JobRecord durable) {
    JobRecord record = Objects.requireNonNull(durable);
    return JobStatus.of(record, step(record), generation == null ? 0 : generation.workers().size());
  }
}
