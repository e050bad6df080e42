package org.ftcluster.cli.progress;

import org.ftcluster.cli.console.Console;

/** A single line, drawn again and again in place. */
final class RedrawnLine implements ProgressDisplay {
  /** Back to the first column; erase the line. */
  private static final String CLEAR = "\r\033[K";

  /** The terminal cuts what doesn't fit, instead of going on in a second line. */
  private static final String NO_WRAP = "\033[?7l";

  private static final String WRAP = "\033[?7h";

  private final Console console;
  private String shown = "";

  RedrawnLine(Console console) {
    this.console = console;
  }

  @Override
  public void show(Progress progress) {
    shown = progress.bar();
    console.draw(CLEAR + NO_WRAP + shown + WRAP);
  }

  @Override
  public void note(String sentence) {
    console.draw(CLEAR + sentence + "\n" + NO_WRAP + shown + WRAP);
  }

  @Override
  public void close() {
    if (!shown.isEmpty()) {
      console.draw("\n");
    }
  }
}
