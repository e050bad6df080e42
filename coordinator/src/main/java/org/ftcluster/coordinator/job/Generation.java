package org.ftcluster.coordinator.job;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.ftcluster.protocol.message.RankReport.Prepared;
import org.ftcluster.protocol.message.WorkerCommand.PeerAddress;
import org.jspecify.annotations.Nullable;

/**
 * The workers of one generation, by rank, and how far each of them is. One that an earlier
 * coordinator began is known by its size, until its workers have come back.
 */
final class Generation {
  private final long number;
  private final List<@Nullable Worker> workers;
  private final List<@Nullable Prepared> prepared;
  private final boolean resumed;
  private final Map<String, Worker> offers = new HashMap<>();
  private final Set<Integer> handedOver = new HashSet<>();
  private @Nullable String handOverReason;
  private boolean waitedLonger;

  Generation(long number, List<Worker> workers) {
    this(number, new ArrayList<>(workers), false);
  }

  private Generation(long number, List<@Nullable Worker> workers, boolean resumed) {
    this.number = number;
    this.workers = workers;
    this.prepared = new ArrayList<>(Collections.nCopies(workers.size(), null));
    this.resumed = resumed;
  }

  /** One that trains already, with workers that are yet to be found. */
  static Generation resumed(long number, int size) {
    return new Generation(number, new ArrayList<>(Collections.nCopies(size, null)), true);
  }

  long number() {
    return number;
  }

  int size() {
    return workers.size();
  }

  /** By rank; without those that haven't come back. */
  List<Worker> workers() {
    return workers.stream().filter(Objects::nonNull).map(Objects::requireNonNull).toList();
  }

  Optional<Worker> worker(int rank) {
    return Optional.ofNullable(workers.get(rank));
  }

  /** Takes note that a worker may be one of those missing; false when it is known already. */
  boolean offered(Worker worker) {
    boolean isKnown = workers().stream().anyMatch(known -> known.node().equals(worker.node()));
    offers.put(worker.node(), worker);
    return !isKnown;
  }

  /** The worker on that node that may be one of those missing. */
  Optional<Worker> offered(String node) {
    return Optional.ofNullable(offers.get(node));
  }

  /** Takes note that a rank has come back; true when it was the last one missing. */
  boolean found(int rank, Worker worker) {
    boolean isNew = workers.set(rank, worker) == null;
    return isNew && isComplete();
  }

  boolean isComplete() {
    return workers.stream().allMatch(Objects::nonNull);
  }

  /**
   * Whether none of its ranks has come back. They may all be cut off, with a state that is newer
   * than any checkpoint: they are worth waiting for.
   */
  boolean isResumedByNobody() {
    return resumed && workers().isEmpty();
  }

  /** Takes note that it was waited for longer; false when it was already. */
  boolean waitLonger() {
    boolean isFirst = !waitedLonger;
    waitedLonger = true;
    return isFirst;
  }

  boolean hasWaitedLonger() {
    return waitedLonger;
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
    return resumed || prepared.stream().allMatch(Objects::nonNull);
  }

  /** False when it is to be handed over already: only the first reason counts. */
  boolean handOver(String reason) {
    if (handOverReason != null) {
      return false;
    }
    handOverReason = reason;
    return true;
  }

  boolean isHandingOver() {
    return handOverReason != null;
  }

  /** Why it is to end after a step. */
  String handOverReason() {
    return handOverReason == null ? "a worker leaves" : handOverReason;
  }

  /** Takes note that a rank has handed over; true when it was the last one missing. */
  boolean handedOver(int rank) {
    return handedOver.add(rank) && handedOver.size() == workers.size();
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
    Worker worker = workers.get(rank);
    return worker == null ? "rank " + rank : "rank %d on %s".formatted(rank, worker.node());
  }

  /** Names the ranks that haven't come back. */
  String missing() {
    return named(workers);
  }

  /** Names the ranks that aren't prepared. */
  String unprepared() {
    return named(prepared);
  }

  private String named(List<?> found) {
    return IntStream.range(0, size())
        .filter(rank -> found.get(rank) == null)
        .mapToObj(this::nameOf)
        .collect(Collectors.joining(", "));
  }

  private Stream<Prepared> reports() {
    return prepared.stream().filter(Objects::nonNull).map(Objects::requireNonNull);
  }
}
