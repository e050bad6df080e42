package org.ftcluster.coordinator.registry;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.function.ToIntFunction;
import org.ftcluster.coordinator.job.JobSignal.WantsWorkers;

/**
 * Jobs that wait for workers: first those that recover, whose state is in memory somewhere, then
 * the others, both in the order they were submitted in.
 */
final class JobQueue {
  private final Comparator<WantsWorkers> order;
  private final List<WantsWorkers> waiting = new ArrayList<>();
  private String first = "";
  private Duration firstSince = Duration.ZERO;

  /**
   * @param number place of a job among all that were ever submitted
   */
  JobQueue(ToIntFunction<String> number) {
    order =
        Comparator.comparing(WantsWorkers::recovering)
            .reversed()
            .thenComparingInt(wish -> number.applyAsInt(wish.job()));
  }

  /** Adds a job, or changes what it asks for. */
  void add(WantsWorkers wish) {
    remove(wish.job());
    waiting.add(wish);
    waiting.sort(order);
  }

  void remove(String job) {
    waiting.removeIf(wish -> wish.job().equals(job));
    if (job.equals(first)) {
      first = "";
    }
  }

  boolean isEmpty() {
    return waiting.isEmpty();
  }

  List<WantsWorkers> inOrder() {
    return List.copyOf(waiting);
  }

  /**
   * The first job, if it has been first for longer than {@code patience} while no other job had
   * workers that it could wait for. One that recovers waits as long as it takes: there is work in
   * it. To be asked regularly.
   *
   * @param now any clock that only goes forward
   */
  Optional<WantsWorkers> overdue(Duration now, boolean othersWork, Duration patience) {
    String head = waiting.isEmpty() ? "" : waiting.getFirst().job();
    if (othersWork || !head.equals(first)) {
      first = head;
      firstSince = now;
    }
    return !head.isEmpty()
            && !waiting.getFirst().recovering()
            && now.minus(firstSince).compareTo(patience) >= 0
        ? Optional.of(waiting.getFirst())
        : Optional.empty();
  }
}
