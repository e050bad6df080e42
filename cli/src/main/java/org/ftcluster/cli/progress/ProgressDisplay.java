package org.ftcluster.cli.progress;

import java.time.Clock;
import org.ftcluster.cli.console.Console;

/** Shows people how far a job is, on standard error. */
interface ProgressDisplay extends AutoCloseable {
  void show(Progress progress);

  /** A sentence that stays. */
  void note(String sentence);

  /** Leaves the cursor at the start of a line. */
  @Override
  void close();

  /** One redrawn line where standard error is a terminal, else a line every few seconds. */
  static ProgressDisplay on(Console console) {
    return console.terminal()
        ? new RedrawnLine(console)
        : new PlainLines(console, Clock.systemUTC());
  }
}
