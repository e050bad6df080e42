package org.ftcluster.worker.rank;

import java.util.function.Consumer;
import java.util.function.Function;
import org.apache.pekko.actor.typed.Behavior;
import org.apache.pekko.actor.typed.javadsl.Behaviors;
import org.ftcluster.protocol.message.WorkerCommand;
import org.ftcluster.protocol.message.WorkerDescription;

/** Hands the coordinator's commands to the rank, and its reports back. */
final class WorkerActor {
  private WorkerActor() {}

  /**
   * @param allegiance whom this process obeys
   * @param leave begins to leave, for a reason; returns at once
   * @param describe makes the answer to {@link WorkerCommand.Describe}
   */
  static Behavior<WorkerCommand> create(
      RankHost rank,
      Allegiance allegiance,
      Consumer<String> leave,
      Function<RankState, WorkerDescription> describe) {
    return Behaviors.receive(
        (context, command) -> {
          switch (command) {
            case WorkerCommand.Describe question -> {
              if (allegiance.obeys(question.epoch())) {
                question.replyTo().tell(describe.apply(rank.snapshot()));
              }
            }
            case WorkerCommand.ReportTo to -> {
              if (allegiance.obeys(to.epoch())) {
                rank.reportTo(
                    to.job(),
                    to.generation(),
                    report -> to.reports().tell(report),
                    context.getSelf());
              }
            }
            case WorkerCommand.NoteHeard heard ->
                rank.noteHeard(heard.job(), heard.generation(), heard.note());
            case WorkerCommand.PrepareRank prepare ->
                rank.prepare(prepare, report -> prepare.reports().tell(report));
            case WorkerCommand.StartRank start -> rank.start(start);
            case WorkerCommand.LoadJob load -> rank.load(load);
            case WorkerCommand.HandOver handOver ->
                rank.handOver(handOver.job(), handOver.generation());
            case WorkerCommand.Drain drain -> leave.accept(drain.reason());
            case WorkerCommand.StopRank stop ->
                rank.stop(stop.job(), stop.generation(), stop.reason());
            case WorkerCommand.ReleaseJob release -> rank.release(release.job());
          }
          return Behaviors.same();
        });
  }
}
