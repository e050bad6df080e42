package org.ftcluster.cli.console;

import java.io.PrintWriter;
import org.jspecify.annotations.Nullable;

/**
 * Results go to standard output, as text or as JSON lines; talk goes to standard error. Any thread
 * may call it.
 */
public final class Console {
  private final PrintWriter out;
  private final PrintWriter err;
  private final boolean json;

  public Console(PrintWriter out, PrintWriter err, boolean json) {
    this.out = out;
    this.err = err;
    this.json = json;
  }

  /** Whether results are to be JSON. */
  public boolean json() {
    return json;
  }

  /** A line of JSON on standard output where that was asked for; else nothing. */
  public void json(@Nullable Object line) {
    if (json) {
      out.println(Json.line(line));
      out.flush();
    }
  }

  /**
   * The people's form of a result: on standard output, or with {@code --json} on standard error.
   */
  public void text(String lines) {
    PrintWriter writer = json ? err : out;
    writer.println(lines);
    writer.flush();
  }

  /** Something worth saying that is not a result. */
  public void talk(String line) {
    err.println(line);
    err.flush();
  }

  /** Whether standard error is a terminal, as the launch script found. */
  public boolean terminal() {
    return Boolean.getBoolean("ftcluster.terminal");
  }

  /** Writes to standard error as it is, for a line that is redrawn. */
  public void draw(String characters) {
    err.print(characters);
    err.flush();
  }
}
