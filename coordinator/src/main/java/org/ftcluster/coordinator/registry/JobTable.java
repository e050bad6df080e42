package org.ftcluster.coordinator.registry;

import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import org.apache.pekko.actor.typed.ActorRef;
import org.ftcluster.coordinator.job.JobCommand;
import org.ftcluster.coordinator.job.JobStatus;

/** All jobs, their actors, and what each said last; which of them are yet to be read back. */
final class JobTable {
  /** In the order in which they were submitted. */
  private final Map<String, ActorRef<JobCommand>> actors = new LinkedHashMap<>();

  private final Map<String, JobStatus> statuses = new HashMap<>();
  private final Map<String, Integer> numbers = new HashMap<>();

  /** Jobs that the journal holds and that haven't said where they are. */
  private final Set<String> unread = new HashSet<>();

  private boolean indexRead;

  /** Those among all jobs of the journal that have no actor yet: they are to be read back. */
  List<String> known(List<String> all) {
    indexRead = true;
    List<String> missing = all.stream().filter(job -> !actors.containsKey(job)).toList();
    unread.addAll(missing);
    return missing;
  }

  boolean isReadingBack() {
    return !indexRead || !unread.isEmpty();
  }

  /** Waits for no job any more; returns those that it waited for. */
  Set<String> giveUpReading() {
    Set<String> left = Set.copyOf(unread);
    unread.clear();
    return left;
  }

  void started(String job, ActorRef<JobCommand> actor) {
    numbers.putIfAbsent(job, numbers.size());
    actors.put(job, actor);
  }

  /** It was numbered, but never acknowledged. */
  void isUnknown(String job) {
    unread.remove(job);
  }

  void changed(JobStatus status) {
    unread.remove(status.job());
    statuses.put(status.job(), status);
  }

  /** Lower ones were submitted before. */
  int number(String job) {
    return Objects.requireNonNull(numbers.get(job), job);
  }

  /** The actor of a job that was started. */
  ActorRef<JobCommand> actor(String job) {
    return Objects.requireNonNull(actors.get(job), job);
  }

  /** The actor of a job that was acknowledged. */
  Optional<ActorRef<JobCommand>> find(String job) {
    return status(job).map(status -> actor(job));
  }

  Optional<JobStatus> status(String job) {
    return Optional.ofNullable(statuses.get(job));
  }

  /** All that were acknowledged. */
  List<JobStatus> inOrder() {
    return actors.keySet().stream().flatMap(job -> status(job).stream()).toList();
  }
}
