package org.ftcluster.worker.parallel;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.IntFunction;
import java.util.function.IntToDoubleFunction;
import java.util.stream.IntStream;
import org.ftcluster.worker.parallel.Schedule.Message;
import org.ftcluster.worker.parallel.Schedule.Turn;
import org.jspecify.annotations.Nullable;

/**
 * How long a pipeline takes for the micro-batches of a step, each stage doing its turns in order,
 * as soon as what they need is there.
 *
 * @param seconds from the first turn to the last
 * @param busy seconds of each stage's own turns
 */
public record ScheduleTimes(double seconds, List<Double> busy) {
  /** Times that differ by less are the same. */
  private static final double TOLERANCE = 1e-12;

  public ScheduleTimes {
    busy = List.copyOf(busy);
  }

  /**
   * What a turn takes, in seconds.
   *
   * @param work that only this stage does
   * @param exchange with other ranks, before the turn is done
   */
  public record Cost(double work, double exchange) {
    double seconds() {
      return work + exchange;
    }

    /**
     * The same where exchanges are work, too.
     *
     * @param slowdown of work while the exchange takes that long
     */
    Cost allWork(double slowdown) {
      return new Cost(work + exchange / slowdown, 0);
    }
  }

  /**
   * What turns take.
   *
   * @param forward of each part of the model: first every stage's first chunk, then their second
   * @param backward likewise
   * @param transfer of activations, or their gradient, between neighbouring stages, in seconds
   */
  public record Costs(List<Cost> forward, List<Cost> backward, double transfer) {
    public Costs {
      forward = List.copyOf(forward);
      backward = List.copyOf(backward);
    }

    Cost of(Turn turn, int part) {
      return switch (turn) {
        case Turn.Forward ignored -> forward.get(part);
        case Turn.Backward ignored -> backward.get(part);
      };
    }
  }

  /** Goes through the turns of all stages, none of which is in another's way. */
  public static ScheduleTimes of(Costs costs, Schedule schedule) {
    return of(costs, schedule, working -> 1);
  }

  /**
   * Goes through the turns of all stages.
   *
   * @param slowdown how much longer work takes while so many stages are at it
   */
  public static ScheduleTimes of(Costs costs, Schedule schedule, IntToDoubleFunction slowdown) {
    if (costs.forward().size() != schedule.stages() * schedule.chunks()) {
      throw new IllegalArgumentException("costs of %s for %s".formatted(costs, schedule));
    }
    return new Run(costs, schedule, schedule::turns, slowdown).run();
  }

  /** The same of the forwards alone. */
  static ScheduleTimes ofForwards(Costs costs, Schedule schedule, IntToDoubleFunction slowdown) {
    return new Run(costs, schedule, schedule::forwards, slowdown).run();
  }

  /** The share of the stages' time in which they wait. */
  public double bubble() {
    double work = busy.stream().mapToDouble(Double::doubleValue).sum();
    return seconds == 0 ? 0 : 1 - work / (seconds * busy.size());
  }

  /** From event to event: a turn begins, its work is done, its exchange is, a message arrives. */
  private static final class Run {
    private final Costs costs;
    private final Schedule schedule;
    private final IntToDoubleFunction slowdown;
    private final List<Stage> stages;
    private final Map<Message, Double> arrivals = new HashMap<>();
    private double now;

    private static final class Stage {
      private final List<Turn> turns;
      private int next;
      private @Nullable Turn current;
      private double work;
      private double exchange;
      private double busy;

      Stage(List<Turn> turns) {
        this.turns = turns;
      }

      boolean works() {
        return current != null && work > 0;
      }
    }

    Run(
        Costs costs,
        Schedule schedule,
        IntFunction<List<Turn>> turns,
        IntToDoubleFunction slowdown) {
      this.costs = costs;
      this.schedule = schedule;
      this.slowdown = slowdown;
      this.stages =
          IntStream.range(0, schedule.stages())
              .mapToObj(stage -> new Stage(turns.apply(stage)))
              .toList();
    }

    ScheduleTimes run() {
      begin();
      while (stages.stream().anyMatch(stage -> stage.current != null || isOnTheWay(stage))) {
        step();
        begin();
      }
      for (int stage = 0; stage < stages.size(); stage++) {
        if (stages.get(stage).next < stages.get(stage).turns.size()) {
          throw new IllegalStateException("stage %d waits for ever".formatted(stage));
        }
      }
      return new ScheduleTimes(now, stages.stream().map(stage -> stage.busy).toList());
    }

    /** To the next event. */
    private void step() {
      int working = (int) stages.stream().filter(Stage::works).count();
      double slow = slowdown.applyAsDouble(working);
      double passed =
          stages.stream().mapToDouble(stage -> untilEvent(stage, slow)).min().orElseThrow();
      now += passed;
      for (int i = 0; i < stages.size(); i++) {
        Stage stage = stages.get(i);
        Turn turn = stage.current;
        if (turn == null) {
          continue;
        }
        stage.busy += passed;
        if (stage.work > 0) {
          stage.work = left(stage.work, passed / slow);
        } else {
          stage.exchange = left(stage.exchange, passed);
        }
        if (stage.work == 0 && stage.exchange == 0) {
          end(i, stage, turn);
        }
      }
    }

    private double untilEvent(Stage stage, double slow) {
      if (stage.current != null) {
        return stage.work > 0 ? stage.work * slow : stage.exchange;
      }
      Double arrival = arrival(stage);
      return arrival == null ? Double.POSITIVE_INFINITY : Math.max(0, arrival - now);
    }

    private static double left(double seconds, double passed) {
      double left = seconds - passed;
      return left <= TOLERANCE * seconds ? 0 : left;
    }

    /** Begins every turn that can; one that takes no time is done at once. */
    private void begin() {
      boolean progressed = true;
      while (progressed) {
        progressed = false;
        for (int i = 0; i < stages.size(); i++) {
          Stage stage = stages.get(i);
          Double ready = arrival(stage);
          if (stage.current == null && ready != null && ready <= now * (1 + TOLERANCE)) {
            Turn turn = stage.turns.get(stage.next);
            Cost cost = costs.of(turn, turn.chunk() * stages.size() + i);
            stage.current = turn;
            stage.work = cost.work();
            stage.exchange = cost.exchange();
            if (cost.seconds() == 0) {
              end(i, stage, turn);
            }
            progressed = true;
          }
        }
      }
    }

    private void end(int index, Stage stage, Turn turn) {
      Message sent = schedule.sent(index, turn);
      if (sent != null) {
        arrivals.put(sent, now + costs.transfer());
      }
      stage.current = null;
      stage.next++;
    }

    private boolean isOnTheWay(Stage stage) {
      return arrival(stage) != null;
    }

    /** When the stage's next turn may begin; null while nobody knows, or where there is none. */
    private @Nullable Double arrival(Stage stage) {
      if (stage.next == stage.turns.size()) {
        return null;
      }
      Message needed = schedule.needed(stages.indexOf(stage), stage.turns.get(stage.next));
      return needed == null ? Double.valueOf(0) : arrivals.get(needed);
    }
  }
}
