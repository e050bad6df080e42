package org.ftcluster.worker.bench;

import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.job.JobSpec.Parallel;
import org.ftcluster.protocol.job.JobSpec.Sharding;

/**
 * What mirrors cost: steps of a job whose state is divided among ranks of this process, with each
 * rank's share kept by its neighbour, too, and without, in turns.
 */
public final class MirrorBenchmark {
  private static final int TURNS = 7;

  /** Steps of the turn before all others, in which code is compiled. */
  private static final int WARM_UP_STEPS = 60;

  /** Steps of a turn before those that count. */
  private static final int FIRST_STEPS = 4;

  /**
   * A measurement.
   *
   * @param seconds of the median step with mirrors, in the median turn
   * @param secondsWithout likewise, without
   * @param cost what mirrors add to a step, as a share of it, in the median turn
   */
  public record Line(
      Sharding sharding, int ranks, double seconds, double secondsWithout, double cost) {}

  private MirrorBenchmark() {}

  /**
   * Takes the turns.
   *
   * @param job whose steps are taken
   * @param steps of a turn that count
   */
  public static Line run(JobSpec job, Sharding sharding, int ranks, int steps) {
    seconds(job, sharding, ranks, WARM_UP_STEPS, true);
    double[] with = new double[TURNS];
    double[] without = new double[TURNS];
    double[] costs = new double[TURNS];
    for (int turn = 0; turn < TURNS; turn++) {
      with[turn] = seconds(job, sharding, ranks, steps, true);
      without[turn] = seconds(job, sharding, ranks, steps, false);
      costs[turn] = with[turn] / without[turn] - 1;
    }
    return new Line(
        sharding,
        ranks,
        ComputeRates.median(with),
        ComputeRates.median(without),
        ComputeRates.median(costs));
  }

  private static double seconds(
      JobSpec job, Sharding sharding, int ranks, int steps, boolean mirror) {
    Parallel parallel = new Parallel(ranks, 1, 1, 1, sharding, 0, mirror);
    return ComputeRates.median(
        MeshRun.seconds(job, parallel, ranks, FIRST_STEPS + steps).stream()
            .skip(FIRST_STEPS)
            .mapToDouble(Double::doubleValue)
            .toArray());
  }
}
