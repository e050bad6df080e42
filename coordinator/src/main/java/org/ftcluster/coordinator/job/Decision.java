package org.ftcluster.coordinator.job;

import java.time.Duration;
import java.util.List;
import java.util.stream.Stream;
import org.ftcluster.protocol.message.RankReport;
import org.ftcluster.protocol.message.RankReport.StepMetrics;
import org.jspecify.annotations.Nullable;

/**
 * What a job does next.
 *
 * @param event to be durable before anything else; null where nothing happened to the job
 * @param actions in their order
 */
record Decision(@Nullable JobEvent event, List<Action> actions) {
  static final Decision NOTHING = new Decision(null, List.of());

  static Decision to(Action... actions) {
    return new Decision(null, List.of(actions));
  }

  static Decision after(JobEvent event, Action... actions) {
    return new Decision(event, List.of(actions));
  }

  /** The same, and then the actions of another. */
  Decision then(Decision next) {
    return new Decision(event, Stream.concat(actions.stream(), next.actions.stream()).toList());
  }

  /** Something to tell, or to remember. */
  sealed interface Action {}

  /** All ranks of the generation are to prepare. */
  record Prepare(Generation generation) implements Action {}

  /** All ranks are to connect and train. */
  record Start(Generation generation) implements Action {}

  /** All ranks are to end after a step, the same one. */
  record HandOver(Generation generation) implements Action {}

  /** All ranks are to end at once. */
  record Stop(Generation generation, String reason) implements Action {}

  /** All workers are to forget the job. */
  record Release(Generation generation) implements Action {}

  /** A worker without a rank is to load the job. */
  record Load(Worker worker) implements Action {}

  /** Say that the generation is {@code Overdue} if it is so after a time. */
  record Alarm(Generation generation, Duration time) implements Action {}

  /** Say {@code Remind} now and then. */
  record Reminder(Generation generation) implements Action {}

  /** No alarm, and no reminder. */
  record NoAlarm() implements Action {}

  /** The owner and all watchers hear where the job is. */
  record Announce() implements Action {}

  /**
   * The owner hears that the job has no workers and wants some.
   *
   * @param after not before so much time has passed
   */
  record AskForWorkers(Duration after) implements Action {
    AskForWorkers() {
      this(Duration.ZERO);
    }
  }

  /** The owner hears that a worker fails again and again. */
  record Shun(String node) implements Action {}

  /** The owner hears that a generation goes on, and whose workers are to be found. */
  record AskWhoGoesOn(Generation generation) implements Action {}

  /** A worker may be of a generation that goes on: it is to report here. */
  record TakeOver(Worker worker, Generation generation) implements Action {}

  /** A rank needn't keep a note any more. */
  record ConfirmNote(Worker worker, RankReport.Noted note) implements Action {}

  /** Watchers hear of a step. */
  record TellStep(StepMetrics metrics) implements Action {}

  /** Watchers hear a sentence. */
  record TellNote(String note) implements Action {}
}
