package org.ftcluster.worker.rank;

/**
 * What the rank of a process does, at one moment.
 *
 * @param job the one it works for, loads, or whose state it holds; or empty
 * @param rank -1 while it has none
 * @param slowness as {@code RankTask.slowness} says; 0 while it doesn't train
 */
record RankState(Phase phase, String job, int rank, long generation, double slowness) {
  RankState(Phase phase, String job, int rank, long generation) {
    this(phase, job, rank, generation, 0);
  }

  /** The same of a worker that is about to leave. */
  RankState draining() {
    return new RankState(Phase.DRAINING, job, rank, generation);
  }

  RankState with(double slowness) {
    return new RankState(phase, job, rank, generation, slowness);
  }
}
