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

  /** Steps before all turns, in which code is compiled. */
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
    double[] with = new double[TURNS];
    double[] without = new double[TURNS];
    double[] costs = new double[TURNS];
    try (MeshRun mirrored = mesh(job, sharding, ranks, steps, true);
        MeshRun plain = mesh(job, sharding, ranks, steps, false)) {
      mirrored.run(WARM_UP_STEPS);
      plain.run(WARM_UP_STEPS);
      for (int turn = 0; turn < TURNS; turn++) {
        with[turn] = seconds(mirrored, steps);
        without[turn] = seconds(plain, steps);
        costs[turn] = with[turn] / without[turn] - 1;
      }
    }
    return new Line(sharding, ranks, Medians.of(with), Medians.of(without), Medians.of(costs));
  }

  private static MeshRun mesh(
      JobSpec job, Sharding sharding, int ranks, int steps, boolean mirror) {
    Parallel parallel = new Parallel(ranks, 1, 1, 1, sharding, 0, mirror);
    return new MeshRun(job, parallel, ranks, WARM_UP_STEPS + TURNS * (FIRST_STEPS + steps));
  }

  private static double seconds(MeshRun mesh, int steps) {
    return Medians.of(
        mesh.run(FIRST_STEPS + steps).stream()
            .skip(FIRST_STEPS - 1)
            .mapToDouble(Double::doubleValue)
            .toArray());
  }
}
