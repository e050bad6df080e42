package org.ftcluster.coordinator.api;

import io.grpc.Status;
import io.grpc.stub.ServerCallStreamObserver;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Iterator;
import org.apache.pekko.actor.typed.ActorRef;
import org.apache.pekko.actor.typed.Behavior;
import org.apache.pekko.actor.typed.javadsl.ActorContext;
import org.apache.pekko.actor.typed.javadsl.Behaviors;
import org.ftcluster.coordinator.job.JobCommand;
import org.ftcluster.coordinator.job.JobNews;
import org.ftcluster.protocol.api.JobUpdate;

/**
 * Hands what a job tells to one client, as fast as that reads, and ends with the job's last state.
 * Where a client reads too slowly the oldest steps are left out; never a change of state.
 */
final class WatchStream {
  /** Updates that may wait for the client before steps are left out. */
  static final int MAX_WAITING = 4096;

  /** What a stream is told. */
  sealed interface Command {}

  /** Begins with this job. */
  record Follow(ActorRef<JobCommand> job) implements Command {}

  /** Ends with an error. */
  record Refuse(Status status) implements Command {}

  /** The client takes more. */
  record Ready() implements Command {}

  /** The client went away. */
  record Gone() implements Command {}

  private record News(JobNews news) implements Command {}

  private record JobStopped() implements Command {}

  private final ActorContext<Command> context;
  private final ServerCallStreamObserver<JobUpdate> client;
  private final Deque<JobUpdate> waiting = new ArrayDeque<>();
  private boolean jobEnded;

  private WatchStream(ActorContext<Command> context, ServerCallStreamObserver<JobUpdate> client) {
    this.context = context;
    this.client = client;
  }

  /** The stream to {@code client}, which only this actor writes to. */
  static Behavior<Command> create(ServerCallStreamObserver<JobUpdate> client) {
    return Behaviors.setup(
        context -> {
          WatchStream stream = new WatchStream(context, client);
          return Behaviors.receiveMessage(stream::onCommand);
        });
  }

  private Behavior<Command> onCommand(Command command) {
    return switch (command) {
      case Follow follow -> {
        follow.job().tell(new JobCommand.Watch(context.messageAdapter(JobNews.class, News::new)));
        context.watchWith(follow.job(), new JobStopped());
        yield Behaviors.same();
      }
      case Refuse refuse -> end(refuse.status());
      case JobStopped ignored ->
          end(Status.UNAVAILABLE.withDescription("the job is read from the journal again"));
      case Ready ignored -> send();
      case Gone ignored -> Behaviors.stopped();
      case News news -> {
        enqueue(news.news());
        yield send();
      }
    };
  }

  private Behavior<Command> end(Status status) {
    client.onError(status.asRuntimeException());
    return Behaviors.stopped();
  }

  private void enqueue(JobNews news) {
    if (waiting.size() >= MAX_WAITING) {
      dropOldestStep();
    }
    waiting.add(ApiMapping.update(news));
    jobEnded |= news.status().state().isTerminal();
  }

  private void dropOldestStep() {
    for (Iterator<JobUpdate> updates = waiting.iterator(); updates.hasNext(); ) {
      if (updates.next().hasStep()) {
        updates.remove();
        return;
      }
    }
  }

  private Behavior<Command> send() {
    while (client.isReady() && !waiting.isEmpty()) {
      client.onNext(waiting.remove());
    }
    if (jobEnded && waiting.isEmpty()) {
      client.onCompleted();
      return Behaviors.stopped();
    }
    return Behaviors.same();
  }
}
