package org.ftcluster.cli.chaos;

import java.util.ArrayList;
import java.util.List;
import org.ftcluster.cli.console.CommandException;
import org.ftcluster.cli.jvm.ChildJvm;

/**
 * Lets workers write no file for a while, by a limit on their processes (RLIMIT_FSIZE), for
 * machines that permit no {@link LimitedDisk}. Every write fails, with "File too large" instead of
 * "No space left on device"; logs miss a few lines, too.
 */
final class WriteLimits implements Disk {
  private static final String NOTHING = "--fsize=0:";
  private static final String ALL = "--fsize=unlimited:";

  private final List<ChildJvm> workers = new ArrayList<>();
  private boolean full;

  /** Whether this system has what it takes. */
  static boolean isPossible() {
    try {
      Shell.run("sh", "-c", "prlimit --pid $$ %s && prlimit --pid $$ %s".formatted(NOTHING, ALL));
      return true;
    } catch (CommandException e) {
      return false;
    }
  }

  @Override
  public void fill() {
    full = true;
    workers.forEach(worker -> limit(worker, NOTHING));
  }

  @Override
  public void free() {
    full = false;
    workers.forEach(worker -> limit(worker, ALL));
  }

  @Override
  public void joined(ChildJvm worker) {
    workers.removeIf(earlier -> !earlier.alive());
    workers.add(worker);
    if (full) {
      limit(worker, NOTHING);
    }
  }

  private static void limit(ChildJvm worker, String limit) {
    if (worker.alive()) {
      try {
        Shell.run("prlimit", "--pid", String.valueOf(worker.pid()), limit);
      } catch (CommandException e) {
        if (worker.alive()) {
          throw e;
        }
        // It has ended meanwhile.
      }
    }
  }
}
