package org.ftcluster.cli.chaos;

import java.util.Locale;

/**
 * Something that is done to a cluster. A victim is a number that is taken modulo those workers that
 * are at work and undisturbed, the oldest first.
 */
sealed interface Fault {
  /** SIGKILL to a worker; another is started in its place. */
  record Kill(int victim) implements Fault {}

  /** SIGSTOP to a worker, and after a while SIGCONT. */
  record Pause(int victim, long ms) implements Fault {}

  /** Packets from and to a worker are lost for a while. */
  record Partition(int victim, Cut cut, long ms) implements Fault {}

  /**
   * A worker more.
   *
   * @param oneLeaves whether the oldest leaves for it
   */
  record Join(boolean oneLeaves) implements Fault {}

  /**
   * A worker is told to leave.
   *
   * @param signal by SIGTERM, not through the coordinator
   * @param replaced whether another is started
   */
  record Drain(int victim, boolean signal, boolean replaced) implements Fault {}

  /** SIGSTOP and SIGCONT to a worker in turn, for {@code ms} in all. */
  record Slow(int victim, long ms, long stopMs, long goMs) implements Fault {}

  /** SIGKILL to the coordinator, which is started again on the same ports. */
  record Coordinator(long downMs) implements Fault {}

  /** The job's folder has no room left for a while. */
  record DiskFull(long ms) implements Fault {}

  default FaultKind kind() {
    return switch (this) {
      case Kill _ -> FaultKind.KILL;
      case Pause _ -> FaultKind.PAUSE;
      case Partition _ -> FaultKind.PARTITION;
      case Join _ -> FaultKind.JOIN;
      case Drain _ -> FaultKind.DRAIN;
      case Slow _ -> FaultKind.SLOW;
      case Coordinator _ -> FaultKind.COORDINATOR;
      case DiskFull _ -> FaultKind.DISK_FULL;
    };
  }

  /** A clause for people. */
  default String text() {
    return switch (this) {
      case Kill(int victim) -> "SIGKILL to " + nth(victim);
      case Pause(int victim, long ms) ->
          "%s stands still for %s".formatted(nth(victim), seconds(ms));
      case Partition(int victim, Cut cut, long ms) ->
          "%s %s for %s".formatted(nth(victim), cut.text(), seconds(ms));
      case Join(boolean oneLeaves) ->
          oneLeaves ? "a worker joins, and the oldest is told to end" : "a worker joins";
      case Drain(int victim, boolean signal, boolean replaced) ->
          "%s is told to leave%s%s"
              .formatted(
                  nth(victim), signal ? " by SIGTERM" : "", replaced ? ", and another joins" : "");
      case Slow(int victim, long ms, long stopMs, long goMs) ->
          "%s stands still for %s of every %s, for %s"
              .formatted(nth(victim), seconds(stopMs), seconds(stopMs + goMs), seconds(ms));
      case Coordinator(long downMs) ->
          "SIGKILL to the coordinator, which is started again after " + seconds(downMs);
      case DiskFull(long ms) -> "the disk is full for " + seconds(ms);
    };
  }

  private static String nth(int victim) {
    return "worker #" + (victim + 1);
  }

  private static String seconds(long ms) {
    return String.format(Locale.ROOT, "%.1f s", ms / 1000.0);
  }
}
