package org.ftcluster.worker.parallel;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.ftcluster.worker.parallel.Schedule.Turn;
import org.jspecify.annotations.Nullable;

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
   * What a turn of a stage takes, in seconds.
   *
   * @param forward of each stage
   * @param backward of each stage
   * @param transfer of activations, or their gradient, between neighbouring stages
   */
  public record Costs(List<Double> forward, List<Double> backward, double transfer) {
    public Costs {
      forward = List.copyOf(forward);
      backward = List.copyOf(backward);
    }

    int stages() {
      return forward.size();
    }
  }

  /** Goes through the turns of all stages. */
  public static ScheduleTimes of(Costs costs, int microBatches) {
    int stages = costs.stages();
    List<List<Turn>> turns = new ArrayList<>();
    for (int stage = 0; stage < stages; stage++) {
      turns.add(Schedule.of(stage, stages, microBatches));
    }
    int[] next = new int[stages];
    double[] free = new double[stages];
    Map<Arrival, Double> arrivals = new HashMap<>();
    boolean progressed = true;
    while (progressed) {
      progressed = false;
      for (int stage = 0; stage < stages; stage++) {
        while (next[stage] < turns.get(stage).size()) {
          Turn turn = turns.get(stage).get(next[stage]);
          Double ready = ready(turn, stage, stages, arrivals);
          if (ready == null) {
            break;
          }
          free[stage] = Math.max(free[stage], ready) + cost(turn, stage, costs);
          tell(turn, stage, free[stage] + costs.transfer(), arrivals);
          next[stage]++;
          progressed = true;
        }
      }
    }
    double seconds = 0;
    List<Double> busy = new ArrayList<>();
    for (int stage = 0; stage < stages; stage++) {
      if (next[stage] < turns.get(stage).size()) {
        throw new IllegalStateException("stage %d waits for ever".formatted(stage));
      }
      seconds = Math.max(seconds, free[stage]);
      busy.add(microBatches * (costs.forward().get(stage) + costs.backward().get(stage)));
    }
    return new ScheduleTimes(seconds, busy);
  }

  /** The share of the stages' time in which they wait. */
  public double bubble() {
    double work = busy.stream().mapToDouble(Double::doubleValue).sum();
    return seconds == 0 ? 0 : 1 - work / (seconds * busy.size());
  }

  /** When activations of a micro-batch, or their gradient, are at a stage. */
  private record Arrival(boolean forward, int microBatch, int stage) {}

  /** Null where what the turn needs isn't known to arrive yet. */
  private static @Nullable Double ready(
      Turn turn, int stage, int stages, Map<Arrival, Double> arrivals) {
    boolean forward = turn instanceof Turn.Forward;
    boolean fromNobody = forward ? stage == 0 : stage == stages - 1;
    return fromNobody
        ? Double.valueOf(0)
        : arrivals.get(new Arrival(forward, turn.microBatch(), stage));
  }

  private static double cost(Turn turn, int stage, Costs costs) {
    return switch (turn) {
      case Turn.Forward ignored -> costs.forward().get(stage);
      case Turn.Backward ignored -> costs.backward().get(stage);
    };
  }

  private static void tell(Turn turn, int stage, double at, Map<Arrival, Double> arrivals) {
    switch (turn) {
      case Turn.Forward forward ->
          arrivals.put(new Arrival(true, forward.microBatch(), stage + 1), at);
      case Turn.Backward backward ->
          arrivals.put(new Arrival(false, backward.microBatch(), stage - 1), at);
    }
  }
}
