package org.ftcluster.cli.console;

/** What the exit codes of {@code ftcluster} mean. */
public enum ExitCode {
  DONE(0),
  /** The job or the check failed. */
  FAILED(1),
  /** The request is wrong: it can't work however often it is tried. */
  BAD_REQUEST(2),
  /** No coordinator answers. */
  UNREACHABLE(3);

  private final int code;

  ExitCode(int code) {
    this.code = code;
  }

  public int code() {
    return code;
  }
}
