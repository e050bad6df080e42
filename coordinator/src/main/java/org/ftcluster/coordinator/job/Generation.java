package org.ftcluster.coordinator.job;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Objects;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.ftcluster.protocol.message.RankReport.Prepared;
import org.ftcluster.protocol.message.WorkerCommand.PeerAddress;
import org.jspecify.annotations.Nullable;

/** The workers of one generation, by rank, and who of them is prepared. */
final class Generation {
  private final long number;
  private final List<Worker> workers;
  private final List<@Nullable Prepared> prepared;

  Generation(long number, List<Worker> workers) {
    this.number = number;
    this.workers = List.copyOf(workers);
    this.prepared = new ArrayList<>(Collections.nCopies(workers.size(), null));
  }

  long number() {
    return number;
  }

  /** By rank. */
  List<Worker> workers() {
    return workers;
  }

  boolean has(Worker worker) {
    return workers.contains(worker);
  }

  /** Takes note that a rank is prepared; true when it was the last one missing. */
  boolean prepared(Prepared report) {
    boolean isNew = prepared.set(report.rank(), report) == null;
    return isNew && isPrepared();
  }

  boolean isPrepared() {
    return prepared.stream().allMatch(Objects::nonNull);
  }

  /** Where the ranks' collectives listen; to be asked when all are prepared. */
  List<PeerAddress> peers() {
    return reports().map(Prepared::address).toList();
  }

  /**
   * The rank that holds the newest completed step in memory, the lowest such rank, or -1 when none
   * holds any.
   */
  int stateSource() {
    long newest = reports().mapToLong(Prepared::completedStep).max().orElse(-1);
    return newest < 0
        ? -1
        : reports()
            .filter(report -> report.completedStep() == newest)
            .mapToInt(Prepared::rank)
            .min()
            .orElse(-1);
  }

  /** Optimizer steps of the whole job. */
  long steps() {
    return reports().mapToLong(Prepared::steps).max().orElse(0);
  }

  /** Says which worker a rank is. */
  String nameOf(int rank) {
    return "rank %d on %s".formatted(rank, workers.get(rank).node());
  }

  /** Names the ranks that aren't prepared. */
  String unprepared() {
    return IntStream.range(0, workers.size())
        .filter(rank -> prepared.get(rank) == null)
        .mapToObj(this::nameOf)
        .collect(Collectors.joining(", "));
  }

  private Stream<Prepared> reports() {
    return prepared.stream().filter(Objects::nonNull).map(Objects::requireNonNull);
  }
}
