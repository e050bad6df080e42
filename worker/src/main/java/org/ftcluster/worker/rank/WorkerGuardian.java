package org.ftcluster.worker.rank;

import java.time.Duration;
import java.util.function.Consumer;
import java.util.stream.StreamSupport;
import org.apache.pekko.actor.Address;
import org.apache.pekko.actor.typed.ActorRef;
import org.apache.pekko.actor.typed.ActorSystem;
import org.apache.pekko.actor.typed.Behavior;
import org.apache.pekko.actor.typed.javadsl.Behaviors;
import org.apache.pekko.actor.typed.receptionist.Receptionist;
import org.apache.pekko.cluster.typed.Cluster;
import org.ftcluster.protocol.cluster.ClusterSystem;
import org.ftcluster.protocol.message.WorkerCommand;
import org.ftcluster.protocol.message.WorkerDescription;

/**
 * The top of a worker's actor system. Ends it when the cluster has lost its coordinator, so that
 * the worker joins anew, or when the rank doesn't stop though it was told to.
 */
final class WorkerGuardian {
  private static final Duration TICK = Duration.ofSeconds(1);

  /** Longer than the longest micro-batch, after which a rank notices that it was stopped. */
  static final Duration STOP_PATIENCE = Duration.ofSeconds(60);

  /** What the guardian is told. */
  sealed interface Command {}

  private record Tick() implements Command {}

  private record WorkerStopped() implements Command {}

  private WorkerGuardian() {}

  static Behavior<Command> create(
      RankHost rank, Allegiance allegiance, Consumer<String> leave, String device) {
    return Behaviors.setup(
        context -> {
          ActorSystem<Void> system = context.getSystem();
          ActorRef<WorkerCommand> worker =
              context.spawn(
                  WorkerActor.create(
                      rank, allegiance, leave, state -> description(system, device, state)),
                  "worker");
          context.watchWith(worker, new WorkerStopped());
          system.receptionist().tell(Receptionist.register(WorkerCommand.KEY, worker));
          return Behaviors.withTimers(
              timers -> {
                timers.startTimerWithFixedDelay(new Tick(), TICK);
                return watching(rank, Cluster.get(system), false);
              });
        });
  }

  private static Behavior<Command> watching(RankHost rank, Cluster cluster, boolean joined) {
    return Behaviors.receiveMessage(
        command ->
            switch (command) {
              case WorkerStopped ignored -> Behaviors.stopped();
              case Tick ignored -> {
                rank.watch();
                boolean coordinated = hasCoordinator(cluster);
                if (rank.isStuck(STOP_PATIENCE) || (joined && !coordinated)) {
                  yield Behaviors.stopped();
                }
                yield coordinated == joined
                    ? Behaviors.same()
                    : watching(rank, cluster, coordinated);
              }
            });
  }

  private static boolean hasCoordinator(Cluster cluster) {
    return StreamSupport.stream(cluster.state().getMembers().spliterator(), false)
        .anyMatch(member -> member.hasRole(ClusterSystem.COORDINATOR));
  }

  private static WorkerDescription description(
      ActorSystem<?> system, String device, RankState state) {
    Address address = Cluster.get(system).selfMember().address();
    return new WorkerDescription(
        ClusterSystem.node(address),
        address.getHost().orElse(""),
        ProcessHandle.current().pid(),
        device,
        state.phase().name(),
        state.job(),
        state.rank(),
        state.generation(),
        state.slowness());
  }
}
