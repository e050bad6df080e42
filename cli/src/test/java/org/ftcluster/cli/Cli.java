package org.ftcluster.cli;

import java.io.PrintWriter;
import java.io.StringWriter;

/** Runs a command inside this JVM. */
public final class Cli {
  private Cli() {}

  /** What a command left. */
  public record Result(int exitCode, String out, String err) {
    /** Lines of standard output. */
    public java.util.List<String> lines() {
      return out.lines().toList();
    }
  }

  public static Result run(String... args) {
    StringWriter out = new StringWriter();
    StringWriter err = new StringWriter();
    int exitCode = Main.run(new PrintWriter(out), new PrintWriter(err), args);
    return new Result(exitCode, out.toString(), err.toString());
  }
}
