package org.ftcluster.cli.chaos;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.stream.Collectors;

/** What can be done to a cluster, and what it may cost. */
enum FaultKind {
  /** A worker's process dies; another takes its place. */
  KILL(1),
  /** A worker stands still for longer than it takes to be missed, and wakes up. */
  PAUSE(1),
  /** Packets are lost between nodes, in one direction or both. */
  PARTITION(1),
  /** A worker is added. */
  JOIN(0),
  /** A worker is told to leave. */
  DRAIN(0),
  /** A worker stands still again and again, each time too briefly to be missed. */
  SLOW(0),
  /** The coordinator's process dies, and is started again. */
  COORDINATOR(1),
  /** Nothing more can be written to the job's folder. */
  DISK_FULL(0);

  private final int repeats;

  FaultKind(int repeats) {
    this.repeats = repeats;
  }

  /** Completed steps that it may cost, a generation that is lost. */
  int repeats() {
    return repeats;
  }

  /** Whether it only ever ends a generation as planned, after a step. */
  boolean isOrderly() {
    return repeats == 0;
  }

  /** As the command line says it. */
  String word() {
    return name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  static Optional<FaultKind> of(String word) {
    return Arrays.stream(values()).filter(kind -> kind.word().equals(word)).findFirst();
  }

  static String words(List<FaultKind> kinds) {
    return kinds.stream().map(FaultKind::word).collect(Collectors.joining(","));
  }
}
