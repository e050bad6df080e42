package org.ftcluster.coordinator.registry;

import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.List;
import org.apache.pekko.actor.typed.ActorRef;
import org.apache.pekko.actor.typed.Behavior;
import org.apache.pekko.actor.typed.javadsl.Behaviors;
import org.apache.pekko.persistence.typed.EventAdapter;
import org.apache.pekko.persistence.typed.PersistenceId;
import org.apache.pekko.persistence.typed.RecoveryCompleted;
import org.apache.pekko.persistence.typed.javadsl.CommandHandler;
import org.apache.pekko.persistence.typed.javadsl.EventHandler;
import org.apache.pekko.persistence.typed.javadsl.EventSourcedBehavior;
import org.apache.pekko.persistence.typed.javadsl.SignalHandler;
import org.ftcluster.coordinator.job.EpochStamp;
import org.ftcluster.protocol.message.Epoch;

/**
 * The ids of all jobs that were ever submitted, in that order. No coordinator ever gives the same
 * id to another job, also not one with another journal: workers and folders may remember it. Says
 * which they are when it starts; stops when an id can't be made durable.
 */
final class JobIndex extends EventSourcedBehavior<JobIndex.Number, JobNumbered, List<String>> {
  private static final SecureRandom RANDOM = new SecureRandom();
  private static final String LETTERS = "abcdefghijkmnpqrstuvwxyz23456789";
  private static final int SUFFIX = 6;

  /** Makes an id that begins with {@code name}. */
  record Number(String name, ActorRef<Numbered> replyTo) {}

  /** The id is durable, and nobody else's. */
  record Numbered(String job) {}

  /** All ids there are. */
  record Known(List<String> jobs) {}

  private final Epoch epoch;
  private final ActorRef<Known> owner;

  private JobIndex(Epoch epoch, ActorRef<Known> owner) {
    super(PersistenceId.of("coordinator", "jobs"));
    this.epoch = epoch;
    this.owner = owner;
  }

  static Behavior<Number> create(Epoch epoch, ActorRef<Known> owner) {
    return Behaviors.setup(context -> new JobIndex(epoch, owner));
  }

  @Override
  public EventAdapter<JobNumbered, ?> eventAdapter() {
    return new EpochStamp<>(epoch);
  }

  @Override
  public List<String> emptyState() {
    return new ArrayList<>();
  }

  @Override
  public CommandHandler<Number, JobNumbered, List<String>> commandHandler() {
    return (jobs, command) -> {
      String job = idFor(command.name(), jobs);
      return Effect()
          .persist(new JobNumbered(job))
          .thenReply(command.replyTo(), numbered -> new Numbered(job));
    };
  }

  private static String idFor(String name, List<String> taken) {
    while (true) {
      StringBuilder id = new StringBuilder(name).append('-');
      RANDOM.ints(SUFFIX, 0, LETTERS.length()).forEach(letter -> id.append(LETTERS.charAt(letter)));
      if (!taken.contains(id.toString())) {
        return id.toString();
      }
    }
  }

  @Override
  public EventHandler<List<String>, JobNumbered> eventHandler() {
    return (jobs, event) -> {
      jobs.add(event.job());
      return jobs;
    };
  }

  @Override
  public SignalHandler<List<String>> signalHandler() {
    return newSignalHandlerBuilder()
        .onSignal(RecoveryCompleted.instance(), jobs -> owner.tell(new Known(List.copyOf(jobs))))
        .build();
  }
}
