package org.ftcluster.coordinator.job;

import java.time.Duration;
import java.util.List;
import java.util.Objects;
import org.apache.pekko.actor.typed.ActorRef;
import org.apache.pekko.actor.typed.Behavior;
import org.apache.pekko.actor.typed.javadsl.ActorContext;
import org.apache.pekko.actor.typed.javadsl.Behaviors;
import org.apache.pekko.actor.typed.javadsl.TimerScheduler;
import org.apache.pekko.persistence.typed.EventAdapter;
import org.apache.pekko.persistence.typed.PersistenceId;
import org.apache.pekko.persistence.typed.RecoveryCompleted;
import org.apache.pekko.persistence.typed.javadsl.CommandHandler;
import org.apache.pekko.persistence.typed.javadsl.Effect;
import org.apache.pekko.persistence.typed.javadsl.EffectBuilder;
import org.apache.pekko.persistence.typed.javadsl.EventHandler;
import org.apache.pekko.persistence.typed.javadsl.EventSourcedBehavior;
import org.apache.pekko.persistence.typed.javadsl.SignalHandler;
import org.ftcluster.protocol.message.Epoch;
import org.ftcluster.protocol.message.RankReport;
import org.ftcluster.protocol.message.RankReport.StepMetrics;
import org.jspecify.annotations.Nullable;

/**
 * One job, from its submission to its end. What {@link JobState} says about its life is durable;
 * what the ranks of the present generation have said is kept in memory. A new coordinator asks the
 * ranks that train to report to it, and begins another generation only where one is missing.
 *
 * <p>It stops when an event can't be made durable; whoever starts it again finds it where its last
 * event left it.
 */
public final class Job extends EventSourcedBehavior<JobCommand, JobEvent, @Nullable JobRecord> {
  private static final String ALARM = "alarm";
  private static final String REMINDER = "reminder";
  private static final Duration REMIND = Duration.ofSeconds(2);

  private final String job;
  private final Epoch epoch;
  private final ActorContext<JobCommand> context;
  private final TimerScheduler<JobCommand> timers;
  private final Audience audience;
  private final Ranks ranks;
  private final Conductor conductor;

  private String shortage = "";

  /** The behaviour of the job with this id, new or known to the journal. */
  public static Behavior<JobCommand> create(
      String job, Epoch epoch, ActorRef<JobSignal> owner, Patience patience) {
    return Behaviors.setup(
        context ->
            Behaviors.withTimers(timers -> new Job(job, epoch, owner, patience, context, timers)));
  }

  private Job(
      String job,
      Epoch epoch,
      ActorRef<JobSignal> owner,
      Patience patience,
      ActorContext<JobCommand> context,
      TimerScheduler<JobCommand> timers) {
    super(PersistenceId.of("job", job));
    this.job = job;
    this.epoch = epoch;
    this.context = context;
    this.timers = timers;
    this.audience = new Audience(owner);
    this.ranks =
        new Ranks(job, epoch, context.messageAdapter(RankReport.class, JobCommand.Reported::new));
    this.conductor = new Conductor(patience);
  }

  @Override
  public EventAdapter<JobEvent, ?> eventAdapter() {
    return new EpochStamp<>(epoch);
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
  public CommandHandler<JobCommand, JobEvent, @Nullable JobRecord> commandHandler() {
    return (record, command) ->
        record != null
            ? onCommand(record, command)
            : command instanceof JobCommand.Submit submit ? submit(submit) : Effect().none();
  }

  @Override
  public SignalHandler<@Nullable JobRecord> signalHandler() {
    return newSignalHandlerBuilder()
        .onSignal(RecoveryCompleted.instance(), this::recovered)
        .build();
  }

  private void recovered(@Nullable JobRecord record) {
    if (record == null) {
      audience.signal(new JobSignal.Unknown(job));
    } else {
      audience.changed(status(record));
      context.getSelf().tell(new JobCommand.TakeUp());
    }
  }

  private Effect<JobEvent, @Nullable JobRecord> submit(JobCommand.Submit submit) {
    return Effect()
        .persist(List.of(submit.job(), new JobEvent.Queued()))
        .thenRun(queued -> act(queued, new Decision.Announce()))
        .thenRun(queued -> act(queued, new Decision.AskForWorkers()))
        .thenReply(submit.replyTo(), this::status);
  }

  private Effect<JobEvent, @Nullable JobRecord> onCommand(JobRecord record, JobCommand command) {
    return switch (command) {
      case JobCommand.Submit submit -> Effect().none().thenReply(submit.replyTo(), this::status);
      case JobCommand.Watch watch -> {
        watch(record, watch.watcher());
        yield Effect().none();
      }
      case JobCommand.Unwatch unwatch -> {
        audience.remove(unwatch.watcher());
        yield Effect().none();
      }
      case JobCommand.Cancel cancel ->
          carryOut(conductor.cancel(record)).thenReply(cancel.replyTo(), this::status);
      case JobCommand.Scale scale -> scale(record, scale);
      case JobCommand.Assign assign -> {
        shortage = "";
        yield carryOut(conductor.assign(record, assign.workers()));
      }
      case JobCommand.Load load -> carryOut(Decision.to(new Decision.Load(load.worker())));
      case JobCommand.TakeOver found -> carryOut(conductor.takeOver(found.worker()));
      case JobCommand.Grow ignored -> carryOut(conductor.grow(record));
      case JobCommand.Lacks lacks -> {
        shortage = lacks.what();
        yield carryOut(Decision.to(new Decision.Announce()));
      }
      case JobCommand.GiveUp giveUp -> carryOut(conductor.giveUp(record, giveUp.reason()));
      case JobCommand.LoseWorker lost ->
          carryOut(conductor.loseWorker(record, lost.worker(), lost.why()));
      case JobCommand.Reported reported -> carryOut(conductor.report(record, reported.report()));
      case JobCommand.Remind remind -> carryOut(conductor.remind(remind.generation()));
      case JobCommand.Overdue overdue -> carryOut(conductor.overdue(record, overdue.generation()));
      case JobCommand.TakeUp ignored -> carryOut(conductor.takeUp(record));
    };
  }

  private Effect<JobEvent, @Nullable JobRecord> scale(JobRecord record, JobCommand.Scale scale) {
    String objection = record.objectionTo(scale.workers());
    Decision decision =
        objection.isEmpty()
            ? conductor.scale(record, new JobEvent.Scaled(scale.workers()))
            : Decision.NOTHING;
    return carryOut(decision)
        .thenReply(scale.replyTo(), after -> new JobCommand.Scaled(status(after), objection));
  }

  private void watch(JobRecord record, ActorRef<JobNews> watcher) {
    watcher.tell(new JobNews.Changed(status(record)));
    StepMetrics lastStep = conductor.lastStep();
    if (lastStep != null && !record.state().isTerminal()) {
      watcher.tell(new JobNews.Stepped(status(record), lastStep));
    }
    audience.add(watcher);
    context.watchWith(watcher, new JobCommand.Unwatch(watcher));
  }

  private EffectBuilder<JobEvent, @Nullable JobRecord> carryOut(Decision decision) {
    JobEvent event = decision.event();
    EffectBuilder<JobEvent, @Nullable JobRecord> durable =
        event == null ? Effect().none() : Effect().persist(event);
    return durable.thenRun(record -> decision.actions().forEach(action -> act(record, action)));
  }

  private void act(@Nullable JobRecord durable, Decision.Action action) {
    JobRecord record = Objects.requireNonNull(durable);
    switch (action) {
      case Decision.Prepare prepare -> ranks.prepare(prepare.generation(), record.yaml());
      case Decision.Start start -> ranks.start(start.generation());
      case Decision.HandOver handOver -> ranks.handOver(handOver.generation());
      case Decision.Stop stop -> ranks.stop(stop.generation(), stop.reason());
      case Decision.Release release -> ranks.release(release.generation());
      case Decision.Load load -> ranks.load(load.worker(), record.yaml());
      case Decision.Alarm alarm ->
          timers.startSingleTimer(
              ALARM, new JobCommand.Overdue(alarm.generation().number()), alarm.time());
      case Decision.Reminder reminder ->
          timers.startTimerWithFixedDelay(
              REMINDER, new JobCommand.Remind(reminder.generation().number()), REMIND);
      case Decision.NoAlarm ignored -> timers.cancelAll();
      case Decision.Announce ignored -> audience.changed(status(record));
      case Decision.AskForWorkers ask -> {
        shortage = "";
        audience.signal(
            new JobSignal.WantsWorkers(
                job, record.demand(), record.state() == JobState.RECOVERING, ask.after()));
      }
      case Decision.Shun shun -> audience.signal(new JobSignal.Shuns(job, shun.node()));
      case Decision.AskWhoGoesOn lost ->
          audience.signal(new JobSignal.LooksForWorkers(job, lost.generation().number()));
      case Decision.TakeOver found -> ranks.takeOver(found.worker(), found.generation());
      case Decision.ConfirmNote heard -> ranks.confirm(heard.worker(), heard.note());
      case Decision.TellStep step -> audience.stepped(status(record), step.metrics());
      case Decision.TellNote note -> audience.noted(status(record), note.note());
    }
  }

  private JobStatus status(@Nullable JobRecord durable) {
    JobRecord record = Objects.requireNonNull(durable);
    return JobStatus.of(record, conductor.step(record), conductor.workers(), shortage);
  }
}
