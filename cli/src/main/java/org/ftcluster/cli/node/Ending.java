package org.ftcluster.cli.node;

import org.ftcluster.cli.console.ExitCode;

/** What a worker's exit code says of its end. */
enum Ending {
  /** It was told to end, by a drain, its cloud or a signal, and has handed over. */
  LEFT,
  /** What was asked of it can't work. */
  REFUSED,
  /** It crashed, was killed, or gave up. */
  LOST;

  /** As shells report a process that a signal ended; a JVM handles these, and then says so, too. */
  private static final int BY_SIGNAL = 128;

  private static final int HUP = BY_SIGNAL + 1;
  private static final int INT = BY_SIGNAL + 2;
  private static final int TERM = BY_SIGNAL + 15;

  static Ending of(int exitCode) {
    if (exitCode == ExitCode.BAD_REQUEST.code()) {
      return REFUSED;
    }
    return switch (exitCode) {
      case 0, HUP, INT, TERM -> LEFT;
      default -> LOST;
    };
  }
}
