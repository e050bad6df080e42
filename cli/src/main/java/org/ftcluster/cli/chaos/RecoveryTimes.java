package org.ftcluster.cli.chaos;

import java.util.ArrayList;
import java.util.Collections;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;

/** How long it took until steps were completed again, by kind of fault. */
final class RecoveryTimes {
  private final Map<FaultKind, List<Long>> timesMs = new EnumMap<>(FaultKind.class);
  private final Map<FaultKind, Integer> strikes = new EnumMap<>(FaultKind.class);
  private final Map<FaultKind, Integer> repeated = new EnumMap<>(FaultKind.class);

  /**
   * One kind's.
   *
   * @param faults all of them
   * @param measured those that were alone, and that the job had to recover from
   * @param repeated steps done again for those that were alone
   */
  record Line(
      String fault,
      int faults,
      int measured,
      double medianSeconds,
      double p99Seconds,
      double maxSeconds,
      int repeated) {}

  /** Counts all strikes; times only where a fault was alone. */
  void add(Aftermath aftermath) {
    aftermath.strikes().forEach(strike -> strikes.merge(strike.kind(), 1, Integer::sum));
    if (aftermath.isOfOne()) {
      FaultKind kind = aftermath.strikes().getFirst().kind();
      repeated.merge(kind, aftermath.repeated().size(), Integer::sum);
      aftermath
          .recoveriesMs()
          .getFirst()
          .ifPresent(ms -> timesMs.computeIfAbsent(kind, k -> new ArrayList<>()).add(ms));
    }
  }

  /** A line a kind that struck. */
  List<Line> lines() {
    return strikes.entrySet().stream()
        .map(entry -> line(entry.getKey(), entry.getValue()))
        .toList();
  }

  private Line line(FaultKind kind, int faults) {
    List<Long> sorted = new ArrayList<>(timesMs.getOrDefault(kind, List.of()));
    Collections.sort(sorted);
    return new Line(
        kind.word(),
        faults,
        sorted.size(),
        quantile(sorted, 0.5),
        quantile(sorted, 0.99),
        quantile(sorted, 1),
        repeated.getOrDefault(kind, 0));
  }

  /** The smallest time that the share {@code q} of all doesn't exceed, in seconds. */
  static double quantile(List<Long> sortedMs, double q) {
    if (sortedMs.isEmpty()) {
      return Double.NaN;
    }
    int index = (int) Math.ceil(q * sortedMs.size()) - 1;
    return sortedMs.get(Math.clamp(index, 0, sortedMs.size() - 1)) / 1000.0;
  }
}
