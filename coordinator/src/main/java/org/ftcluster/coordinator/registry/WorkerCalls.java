package org.ftcluster.coordinator.registry;

import java.util.Optional;
import org.apache.pekko.actor.typed.ActorRef;
import org.apache.pekko.actor.typed.javadsl.ActorContext;
import org.ftcluster.coordinator.job.Patience;
import org.ftcluster.coordinator.job.Worker;
import org.ftcluster.protocol.cluster.Probe;
import org.ftcluster.protocol.message.Epoch;
import org.ftcluster.protocol.message.WorkerCommand;
import org.ftcluster.protocol.message.WorkerDescription;

/** What a coordinator asks of workers; answers, or that there was none, come to it as messages. */
final class WorkerCalls {
  private final ActorContext<Coordinator.Command> context;
  private final Epoch epoch;
  private final Patience patience;

  WorkerCalls(ActorContext<Coordinator.Command> context, Epoch epoch, Patience patience) {
    this.context = context;
    this.epoch = epoch;
    this.patience = patience;
  }

  void describe(Worker worker) {
    context.ask(
        WorkerDescription.class,
        worker.ref(),
        patience.answer(),
        (ActorRef<WorkerDescription> replyTo) -> new WorkerCommand.Describe(epoch, replyTo),
        (description, failure) ->
            description == null
                ? new Coordinator.DidNotAnswer(worker)
                : new Coordinator.Described(worker, description));
  }

  /** One that is paused can be connected to; one whose process has ended can't. */
  void probe(Worker worker) {
    context.pipeToSelf(
        Probe.start(worker.ref().path().address()),
        (probe, failure) -> new Coordinator.Probed(worker, probe == null ? Probe.SILENT : probe));
  }

  /** Answered once the worker knows. */
  void drain(Worker worker, ActorRef<Coordinator.Draining> replyTo) {
    worker.ref().tell(new WorkerCommand.Drain("someone asked for it"));
    context.ask(
        WorkerDescription.class,
        worker.ref(),
        patience.answer(),
        (ActorRef<WorkerDescription> answer) -> new WorkerCommand.Describe(epoch, answer),
        (description, failure) ->
            new Coordinator.Told(
                replyTo, new Coordinator.Draining(true, Optional.ofNullable(description))));
  }
}
