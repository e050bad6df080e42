package org.ftcluster.coordinator.registry;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.ftcluster.coordinator.job.JobSignal.WantsWorkers;
import org.ftcluster.coordinator.job.Worker;

/** Decides who works for whom. */
final class Planner {
  /**
   * A worker without a job.
   *
   * @param holds the job whose state it has in memory, or empty
   */
  record Candidate(Worker worker, String holds) {}

  private Planner() {}

  /**
   * Gives idle workers to jobs in the order they wait in. The first that can't have as many as it
   * needs ends the round: nobody overtakes it, so large jobs don't starve.
   *
   * @return workers by rank, for each job that gets some; those that hold the job's state come
   *     first
   */
  static Map<String, List<Worker>> assign(
      List<WantsWorkers> waiting, Collection<Candidate> candidates) {
    Map<String, List<Worker>> assigned = new LinkedHashMap<>();
    List<Candidate> idle = new ArrayList<>(candidates);
    for (WantsWorkers wish : waiting) {
      if (idle.size() < wish.demand().min()) {
        break;
      }
      idle.sort(
          Comparator.comparing((Candidate candidate) -> !candidate.holds().equals(wish.job()))
              .thenComparing(candidate -> candidate.worker().node()));
      List<Candidate> chosen = idle.subList(0, Math.min(wish.demand().max(), idle.size()));
      assigned.put(wish.job(), chosen.stream().map(Candidate::worker).toList());
      chosen.clear();
    }
    return assigned;
  }
}
