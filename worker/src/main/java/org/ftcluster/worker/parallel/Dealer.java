package org.ftcluster.worker.parallel;

import java.util.Arrays;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * Deals the micro-batches of each step of a generation to its replicas by their speed. It begins
 * evenly, and deals anew when what was measured over some steps says that the slowest replica would
 * be done clearly earlier; so it doesn't follow every breath of the machines.
 *
 * <p>A function of what it was told, and of nothing else: all ranks are told the same, and deal
 * alike. Used by one thread.
 */
public final class Dealer {
  /** Steps over which speeds are measured, and between two changes. */
  static final int WINDOW = 5;

  /** A change has to save this much of the time that micro-batches take. */
  static final double LEAST_GAIN = 0.1;

  /** So many times as long as the others, and a replica is a straggler. */
  static final double STRAGGLES = 1.5;

  /** And isn't any more. */
  static final double KEEPS_UP = 1.25;

  /** Micro-batches are too few where no deal comes closer to the best thinkable time. */
  private static final double COARSE = 1.25;

  private final int replicas;
  private final boolean adapts;

  /** Time a token, by step of the window and replica; 0 where it had none. */
  private final double[][] measured;

  private int steps;

  /** What the present deals go by; null for even ones. */
  private double @Nullable [] weights;

  private final boolean[] straggling;

  /**
   * @param adapts whether it may deal unevenly; speeds are known anyway
   */
  public Dealer(int replicas, boolean adapts) {
    this.replicas = replicas;
    this.adapts = adapts;
    this.measured = new double[WINDOW][replicas];
    this.straggling = new boolean[replicas];
  }

  /**
   * The deal of a step.
   *
   * @param tokens of each micro-batch
   */
  public Deal deal(long[] tokens) {
    double[] by = weights;
    return by == null ? Deal.even(tokens.length, replicas) : Deal.balanced(tokens, by);
  }

  /**
   * Learns from a step.
   *
   * @param tokens of each micro-batch
   * @param nanos that each replica took for its own
   */
  public void learn(long[] tokens, long[] nanos) {
    Deal deal = deal(tokens);
    for (int replica = 0; replica < replicas; replica++) {
      long load = deal.load(replica, tokens);
      measured[steps % WINDOW][replica] = load == 0 ? 0 : (double) nanos[replica] / load;
    }
    steps++;
    if (steps < WINDOW) {
      return;
    }
    double[] slowness = slowness();
    for (int replica = 0; replica < replicas; replica++) {
      double limit = straggling[replica] ? KEEPS_UP : STRAGGLES;
      straggling[replica] = relative(replica, slowness) >= limit;
    }
    if (adapts
        && Deal.balanced(tokens, slowness).time(tokens, slowness)
            < (1 - LEAST_GAIN) * deal.time(tokens, slowness)) {
      weights = slowness;
      steps = 0; // what follows is another deal's
    }
  }

  /** Time that a replica takes for a token, compared with the others; 0 while it isn't known. */
  public double relativeSlowness(int replica) {
    return steps < WINDOW ? 0 : relative(replica, slowness());
  }

  /** Whether a replica takes clearly longer than the others. */
  public boolean straggles(int replica) {
    return straggling[replica];
  }

  /** Whether a step has too few micro-batches for replicas as uneven as these. */
  public boolean isCoarse(long[] tokens) {
    double[] slowness = slowness();
    return steps >= WINDOW
        && Deal.balanced(tokens, slowness).time(tokens, slowness)
            > COARSE * Deal.leastTime(tokens, slowness);
  }

  /** Of each replica the median; where nothing was measured, that of all. */
  private double[] slowness() {
    double[] medians = new double[replicas];
    for (int r = 0; r < replicas; r++) {
      int replica = r;
      medians[r] = median(Arrays.stream(measured).mapToDouble(step -> step[replica]).toArray());
    }
    double typical = median(medians);
    return Arrays.stream(medians)
        .map(median -> median > 0 ? median : typical > 0 ? typical : 1)
        .toArray();
  }

  private double relative(int replica, double[] slowness) {
    double others =
        median(
            IntStream.range(0, replicas)
                .filter(other -> other != replica)
                .mapToDouble(other -> slowness[other])
                .toArray());
    return others > 0 ? slowness[replica] / others : 1;
  }

  /** The lower one of those above 0; 0 where none is. */
  private static double median(double[] values) {
    double[] known = Arrays.stream(values).filter(value -> value > 0).sorted().toArray();
    return known.length == 0 ? 0 : known[(known.length - 1) / 2];
  }
}
