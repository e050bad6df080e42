package org.ftcluster.cli.chaos;

import java.util.Locale;

/**
 * Something that is done to a cluster. A victim is a number that is taken modulo those workers that
 * are at work and undisturbed, the oldest first.
 */
sealed interface Fault {
  FaultKind kind();

  /** A clause for people. */
  String text();

  /** SIGKILL to a worker; another is started in its place. */
  record Kill(int victim) implements Fault {
    @Override
    public FaultKind kind() {
      return FaultKind.KILL;
    }

    @Override
    public String text() {
      return "SIGKILL to " + nth(victim);
    }
  }

  /** SIGSTOP to a worker, and after a while SIGCONT. */
  record Pause(int victim, long ms) implements Fault {
    @Override
    public FaultKind kind() {
      return FaultKind.PAUSE;
    }

    @Override
    public String text() {
      return "%s stands still for %s".formatted(nth(victim), seconds(ms));
    }
  }

  /** Packets from and to a worker are lost for a while. */
  record Partition(int victim, Cut cut, long ms) implements Fault {
    @Override
    public FaultKind kind() {
      return FaultKind.PARTITION;
    }

    @Override
    public String text() {
      return "%s %s for %s".formatted(nth(victim), cut.text(), seconds(ms));
    }
  }

  /**
   * A worker more.
   *
   * @param oneLeaves whether the oldest leaves for it
   */
  record Join(boolean oneLeaves) implements Fault {
    @Override
    public FaultKind kind() {
      return FaultKind.JOIN;
    }

    @Override
    public String text() {
      return oneLeaves ? "a worker joins, and the oldest is told to end" : "a worker joins";
    }
  }

  /**
   * A worker is told to leave.
   *
   * @param signal by SIGTERM, not through the coordinator
   * @param replaced whether another is started
   */
  record Drain(int victim, boolean signal, boolean replaced) implements Fault {
    @Override
    public FaultKind kind() {
      return FaultKind.DRAIN;
    }

    @Override
    public String text() {
      return "%s is told to leave%s%s"
          .formatted(
              nth(victim), signal ? " by SIGTERM" : "", replaced ? ", and another joins" : "");
    }
  }

  /** SIGSTOP and SIGCONT to a worker in turn, for {@code ms} in all. */
  record Slow(int victim, long ms, long stopMs, long goMs) implements Fault {
    @Override
    public FaultKind kind() {
      return FaultKind.SLOW;
    }

    @Override
    public String text() {
      return "%s stands still for %s of every %s, for %s"
          .formatted(nth(victim), seconds(stopMs), seconds(stopMs + goMs), seconds(ms));
    }
  }

  /** SIGKILL to the coordinator, which is started again on the same ports. */
  record Coordinator(long downMs) implements Fault {
    @Override
    public FaultKind kind() {
      return FaultKind.COORDINATOR;
    }

    @Override
    public String text() {
      return "SIGKILL to the coordinator, which is started again after " + seconds(downMs);
    }
  }

  /** The job's folder has no room left for a while. */
  record DiskFull(long ms) implements Fault {
    @Override
    public FaultKind kind() {
      return FaultKind.DISK_FULL;
    }

    @Override
    public String text() {
      return "the disk is full for " + seconds(ms);
    }
  }

  private static String nth(int victim) {
    return "worker #" + (victim + 1);
  }

  private static String seconds(long ms) {
    return String.format(Locale.ROOT, "%.1f s", ms / 1000.0);
  }
}
