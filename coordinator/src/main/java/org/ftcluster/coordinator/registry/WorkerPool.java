package org.ftcluster.coordinator.registry;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import org.ftcluster.coordinator.job.JobSignal.WantsWorkers;
import org.ftcluster.coordinator.job.Worker;
import org.ftcluster.protocol.message.WorkerDescription;
import org.jspecify.annotations.Nullable;

/**
 * The workers that membership shows, whom each works for, and what it said when it was last asked.
 *
 * <p>Membership is slow to see that a worker is gone. So all are asked now and then, in rounds, and
 * only those that answered the last round are given to a job.
 */
final class WorkerPool {
  private static final class Entry {
    String job = "";
    @Nullable WorkerDescription description;
    boolean answered;

    /** Rounds in a row that it didn't answer. */
    int silences;

    /** Whether there is nobody that could still answer. */
    boolean gone;

    /** Jobs that rather have others, and until when. */
    final Map<String, Duration> shunnedBy = new HashMap<>();
  }

  /** After so many rounds nobody waits for a worker. */
  private static final int DOUBTS = 3;

  /** After so many it is lost for its job, whatever membership says. */
  private static final int SILENCES = 5;

  /** A worker that left, or doesn't answer, and the job it worked for. */
  record Loss(Worker worker, String job) {}

  private final Map<Worker, Entry> entries = new LinkedHashMap<>();
  private final Set<Worker> unanswered = new HashSet<>();

  /** Takes over what membership shows now; returns who left a job. */
  List<Loss> listed(Collection<Worker> present) {
    List<Loss> losses = new ArrayList<>();
    for (Worker known : List.copyOf(entries.keySet())) {
      if (!present.contains(known)) {
        Entry gone = entries.remove(known);
        unanswered.remove(known);
        if (!gone.job.isEmpty()) {
          losses.add(new Loss(known, gone.job));
        }
      }
    }
    present.forEach(worker -> entries.computeIfAbsent(worker, key -> new Entry()));
    return losses;
  }

  /** Begins a round: all of these are to be asked. */
  List<Worker> beginRound() {
    unanswered.clear();
    unanswered.addAll(entries.keySet());
    return List.copyOf(entries.keySet());
  }

  /** Whether a round has begun and not ended: someone may still answer. */
  boolean isAsking() {
    return !unanswered.isEmpty();
  }

  void answered(Worker worker, WorkerDescription description) {
    unanswered.remove(worker);
    Entry entry = entries.get(worker);
    if (entry != null) {
      entry.description = description;
      entry.answered = true;
      entry.silences = 0;
      entry.gone = false;
    }
  }

  /** It never will answer; returns what is lost with it, if that is new. */
  Optional<Loss> gone(Worker worker) {
    unanswered.remove(worker);
    Entry entry = entries.get(worker);
    if (entry != null) {
      entry.gone = true;
    }
    return unreachable(worker);
  }

  /** It needn't be asked more often; returns what is lost with it, if that is new. */
  Optional<Loss> unreachable(Worker worker) {
    Entry entry = entries.get(worker);
    if (entry == null) {
      return Optional.empty();
    }
    boolean isNew = entry.silences < SILENCES;
    entry.answered = false;
    entry.silences = Math.max(entry.silences, SILENCES);
    return isNew && !entry.job.isEmpty()
        ? Optional.of(new Loss(worker, entry.job))
        : Optional.empty();
  }

  /** It didn't answer; returns what is lost with it, if it was too often now. */
  Optional<Loss> silent(Worker worker) {
    unanswered.remove(worker);
    Entry entry = entries.get(worker);
    if (entry != null) {
      entry.answered = false;
      entry.silences++;
      if (entry.silences == SILENCES && !entry.job.isEmpty()) {
        return Optional.of(new Loss(worker, entry.job));
      }
    }
    return Optional.empty();
  }

  /** Whether a worker may be just slow to answer. */
  boolean isInDoubt() {
    return entries.values().stream()
        .anyMatch(entry -> entry.silences > 0 && entry.silences < DOUBTS);
  }

  /** Those that answered, work for nobody, and aren't about to leave. */
  List<Planner.Candidate> candidates() {
    List<Planner.Candidate> idle = new ArrayList<>();
    entries.forEach(
        (worker, entry) -> {
          WorkerDescription said = entry.description;
          if (entry.answered
              && entry.job.isEmpty()
              && said != null
              && !said.state().equals("DRAINING")) {
            idle.add(
                new Planner.Candidate(
                    worker,
                    said.hasGpu(),
                    isLoading(said) ? "" : said.job(),
                    Set.copyOf(entry.shunnedBy.keySet())));
          }
        });
    return idle;
  }

  private static boolean isLoading(WorkerDescription said) {
    return said.state().equals("PREPARING") && said.rank() < 0;
  }

  /**
   * Whether all workers that have taken part in a job are silent: they may hold its state, and
   * answer again.
   */
  boolean missesVeterans(String job) {
    List<Entry> veterans =
        entries.values().stream()
            .filter(entry -> !entry.gone && isVeteran(entry.description, job))
            .toList();
    return !veterans.isEmpty() && veterans.stream().noneMatch(entry -> entry.answered);
  }

  private static boolean isVeteran(@Nullable WorkerDescription said, String job) {
    return said != null && said.job().equals(job) && said.generation() > 0;
  }

  /** A job rather has others, until then. */
  void shun(Worker worker, String job, Duration until) {
    entry(worker).shunnedBy.put(job, until);
  }

  /** The time is {@code now}. */
  void forgive(Duration now) {
    entries
        .values()
        .forEach(entry -> entry.shunnedBy.values().removeIf(until -> until.compareTo(now) <= 0));
  }

  /** Those of them that are at rest: neither load a job nor end one. */
  List<Planner.Candidate> resting() {
    return candidates().stream()
        .filter(idle -> description(idle.worker()).state().equals("IDLE"))
        .toList();
  }

  /** How many workers work for each job. */
  Map<String, Integer> staffed() {
    Map<String, Integer> counts = new LinkedHashMap<>();
    entries.values().stream()
        .filter(entry -> !entry.job.isEmpty())
        .forEach(entry -> counts.merge(entry.job, 1, Integer::sum));
    return counts;
  }

  /** The worker on a node. */
  Optional<Worker> find(String node) {
    return entries.keySet().stream().filter(worker -> worker.node().equals(node)).findFirst();
  }

  /** Whether a worker works for nobody but maybe {@code job}. */
  boolean isFree(Worker worker, String job) {
    Entry entry = entries.get(worker);
    return entry != null && (entry.job.isEmpty() || entry.job.equals(job));
  }

  void assign(String job, List<Worker> workers) {
    workers.forEach(worker -> entry(worker).job = job);
  }

  /** The job's workers work for nobody now. */
  void release(String job) {
    entries.values().stream()
        .filter(entry -> entry.job.equals(job))
        .forEach(entry -> entry.job = "");
  }

  /** Whether any worker that a job waits for works for another one. */
  boolean othersWork(WantsWorkers wish) {
    return entries.values().stream()
        .filter(entry -> !entry.job.isEmpty() && !entry.job.equals(wish.job()))
        .anyMatch(
            entry ->
                entry.description == null || wish.demand().accepts(entry.description.hasGpu()));
  }

  int size() {
    return entries.size();
  }

  /** What the workers said last; one that didn't answer is shown as UNREACHABLE. */
  List<WorkerDescription> descriptions() {
    List<WorkerDescription> descriptions = new ArrayList<>();
    for (Entry entry : entries.values()) {
      WorkerDescription last = entry.description;
      if (last != null) {
        descriptions.add(entry.answered ? last : unreachable(last));
      }
    }
    return descriptions;
  }

  private WorkerDescription description(Worker worker) {
    return Objects.requireNonNull(entry(worker).description);
  }

  private Entry entry(Worker worker) {
    Entry entry = entries.get(worker);
    if (entry == null) {
      throw new IllegalArgumentException(worker.node() + " is no worker of this cluster");
    }
    return entry;
  }

  private static WorkerDescription unreachable(WorkerDescription last) {
    return new WorkerDescription(
        last.node(),
        last.host(),
        last.pid(),
        last.device(),
        "UNREACHABLE",
        last.job(),
        last.rank(),
        last.generation(),
        0);
  }
}
