package org.ftcluster.coordinator.registry;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.ftcluster.coordinator.job.JobSignal.WantsWorkers;
import org.ftcluster.coordinator.job.Worker;
import org.ftcluster.coordinator.job.WorkerDemand;

/** Decides who works for whom. */
final class Planner {
  /**
   * A worker without a job.
   *
   * @param hasGpu which keeps it for jobs that need one, where others have as many as they need
   *     without
   * @param holds the job that it has in memory, ready to go on, or empty
   * @param shunnedBy jobs that rather have others
   */
  record Candidate(Worker worker, boolean hasGpu, String holds, Set<String> shunnedBy) {
    Candidate(Worker worker, String holds) {
      this(worker, false, holds, Set.of());
    }

    boolean holds(String job) {
      return holds.equals(job);
    }
  }

  /**
   * A job that has workers.
   *
   * @param workers how many
   */
  record Staffed(String job, int workers, WorkerDemand demand) {}

  /**
   * How idle workers help jobs that have some already.
   *
   * @param grow jobs for which workers are ready
   * @param load who is to get ready for which job
   */
  record Growth(Set<String> grow, Map<Worker, String> load) {}

  private Planner() {}

  /**
   * Gives idle workers to jobs in the order they wait in. Where one can't have as many as it needs,
   * those that it can use are kept for it: nobody overtakes it, so large jobs don't starve. A job
   * that recovers goes on with workers that hold it, where they are enough, and doesn't wait for
   * others to load it: those join later.
   *
   * @return workers by rank, for each job that gets some; those that hold the job's state come
   *     first
   */
  static Map<String, List<Worker>> assign(
      List<WantsWorkers> waiting, Collection<Candidate> candidates) {
    Map<String, List<Worker>> assigned = new LinkedHashMap<>();
    List<Candidate> idle = new ArrayList<>(candidates);
    for (WantsWorkers wish : waiting) {
      List<Candidate> fitting = fitting(wish, idle);
      if (fitting.size() < wish.demand().min()) {
        idle.removeAll(fitting);
        continue;
      }
      List<Candidate> chosen = fitting.subList(0, usable(wish, fitting));
      assigned.put(wish.job(), chosen.stream().map(Candidate::worker).toList());
      idle.removeAll(chosen);
    }
    return assigned;
  }

  /**
   * Those that hold the job first. Those that it shuns, and those with a GPU that it doesn't need,
   * only where there are too few others.
   */
  private static List<Candidate> fitting(WantsWorkers wish, List<Candidate> idle) {
    WorkerDemand demand = wish.demand();
    List<Candidate> sorted =
        idle.stream()
            .filter(candidate -> demand.accepts(candidate.hasGpu()))
            .sorted(
                Comparator.comparing((Candidate candidate) -> !candidate.holds(wish.job()))
                    .thenComparing(Candidate::hasGpu)
                    .thenComparing(candidate -> candidate.worker().node()))
            .toList();
    List<Candidate> welcome =
        sorted.stream().filter(candidate -> !candidate.shunnedBy().contains(wish.job())).toList();
    List<Candidate> enough = welcome.size() >= demand.min() ? welcome : sorted;
    List<Candidate> first =
        enough.stream()
            .filter(candidate -> candidate.hasGpu() == demand.gpu() || candidate.holds(wish.job()))
            .toList();
    return first.size() >= demand.min()
        ? first
        : enough.subList(0, Math.min(enough.size(), demand.min()));
  }

  /**
   * How many of them a job takes.
   *
   * @param idle those that hold the job come first
   */
  private static int usable(WantsWorkers wish, List<Candidate> idle) {
    long ready = idle.stream().filter(candidate -> candidate.holds(wish.job())).count();
    boolean enough = wish.recovering() && ready >= wish.demand().min();
    return wish.demand().usable(enough ? (int) ready : idle.size());
  }

  /**
   * Gives workers that nobody waits for to jobs that can use more, in their order. One that holds a
   * job's state, or has loaded it, is ready for that job and is not given to another.
   *
   * @param idle workers at rest
   */
  static Growth grow(List<Staffed> staffed, Collection<Candidate> idle) {
    Set<String> grow = new LinkedHashSet<>();
    Map<Worker, String> load = new LinkedHashMap<>();
    List<Candidate> left = new ArrayList<>(idle);
    left.sort(
        Comparator.comparing((Candidate candidate) -> candidate.holds().isEmpty())
            .thenComparing(Candidate::hasGpu)
            .thenComparing(candidate -> candidate.worker().node()));
    for (Staffed job : staffed) {
      List<Candidate> fitting =
          left.stream()
              .filter(
                  idler ->
                      idler.holds(job.job())
                          || idler.holds().isEmpty() && idler.hasGpu() == job.demand().gpu())
              .filter(idler -> !idler.shunnedBy().contains(job.job()))
              .toList();
      int more = job.demand().usable(job.workers() + fitting.size()) - job.workers();
      List<Candidate> joining = fitting.subList(0, Math.max(0, more));
      left.removeAll(joining);
      int ready = 0;
      for (Candidate candidate : joining) {
        if (candidate.holds().isEmpty()) {
          load.put(candidate.worker(), job.job());
        } else {
          ready++;
        }
      }
      if (ready > 0 && ready >= job.demand().unit()) {
        grow.add(job.job());
      }
    }
    return new Growth(grow, load);
  }
}
