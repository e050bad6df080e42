package org.ftcluster.worker.parallel;

import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.ftcluster.worker.parallel.Schedule.Message;
import org.ftcluster.worker.parallel.Schedule.Turn;

/**
 * How long a pipeline takes for the micro-batches of a step, each stage doing its turns in order,
 * as soon as what they need is there.
 *
 * @param seconds from the first turn to the last
 * @param busy seconds of each stage's own work
 */
public record ScheduleTimes(double seconds, List<Double> busy) {
  public ScheduleTimes {
    busy = List.copyOf(busy);
  }

  /**
   * What a turn takes, in seconds.
   *
   * @param forward of each part of the model: first every stage's first chunk, then their second
   * @param backward likewise
   * @param transfer of activations, or their gradient, between neighbouring stages
   */
  public record Costs(List<Double> forward, List<Double> backward, double transfer) {
    public Costs {
      forward = List.copyOf(forward);
      backward = List.copyOf(backward);
    }

    double of(Turn turn, int part) {
      return switch (turn) {
        case Turn.Forward ignored -> forward.get(part);
        case Turn.Backward ignored -> backward.get(part);
      };
    }
  }

  /** Goes through the turns of all stages. */
  public static ScheduleTimes of(Costs costs, Schedule schedule) {
    int stages = schedule.stages();
    if (costs.forward().size() != stages * schedule.chunks()) {
      throw new IllegalArgumentException("costs of %s for %s".formatted(costs, schedule));
    }
    List<List<Turn>> turns = IntStream.range(0, stages).mapToObj(schedule::turns).toList();
    int[] next = new int[stages];
    double[] free = new double[stages];
    double[] busy = new double[stages];
    Map<Message, Double> arrivals = new HashMap<>();
    boolean progressed = true;
    while (progressed) {
      progressed = false;
      for (int stage = 0; stage < stages; stage++) {
        while (next[stage] < turns.get(stage).size()) {
          Turn turn = turns.get(stage).get(next[stage]);
          Message needed = schedule.needed(stage, turn);
          Double ready = needed == null ? Double.valueOf(0) : arrivals.get(needed);
          if (ready == null) {
            break;
          }
          double cost = costs.of(turn, turn.chunk() * stages + stage);
          busy[stage] += cost;
          free[stage] = Math.max(free[stage], ready) + cost;
          Message sent = schedule.sent(stage, turn);
          if (sent != null) {
            arrivals.put(sent, free[stage] + costs.transfer());
          }
          next[stage]++;
          progressed = true;
        }
      }
    }
    for (int stage = 0; stage < stages; stage++) {
      if (next[stage] < turns.get(stage).size()) {
        throw new IllegalStateException("stage %d waits for ever".formatted(stage));
      }
    }
    return new ScheduleTimes(
        Arrays.stream(free).max().orElse(0), Arrays.stream(busy).boxed().toList());
  }

  /** The share of the stages' time in which they wait. */
  public double bubble() {
    double work = busy.stream().mapToDouble(Double::doubleValue).sum();
    return seconds == 0 ? 0 : 1 - work / (seconds * busy.size());
  }
}
