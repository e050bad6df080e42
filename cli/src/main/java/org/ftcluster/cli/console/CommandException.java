package org.ftcluster.cli.console;

import java.util.List;
import org.jspecify.annotations.Nullable;

/** Ends a command with an exit code and sentences for its user. */
public final class CommandException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  private final ExitCode exitCode;
  private final List<String> problems;

  private CommandException(ExitCode exitCode, List<String> problems, @Nullable Throwable cause) {
    super(String.join("\n", problems), cause);
    this.exitCode = exitCode;
    this.problems = List.copyOf(problems);
  }

  /** The job or the check failed. */
  public static CommandException failed(String sentence) {
    return new CommandException(ExitCode.FAILED, List.of(sentence), null);
  }

  /** The request is wrong; the sentence says what would be right. */
  public static CommandException badRequest(String sentence) {
    return new CommandException(ExitCode.BAD_REQUEST, List.of(sentence), null);
  }

  /** The request is wrong in several places. */
  public static CommandException badRequest(List<String> problems) {
    return new CommandException(ExitCode.BAD_REQUEST, problems, null);
  }

  /** No coordinator answers. */
  public static CommandException unreachable(String sentence) {
    return new CommandException(ExitCode.UNREACHABLE, List.of(sentence), null);
  }

  /** The same, with what led to it, for {@code --debug}. */
  public CommandException because(Throwable cause) {
    return new CommandException(exitCode, problems, cause);
  }

  public ExitCode exitCode() {
    return exitCode;
  }

  /** One sentence each. */
  public List<String> problems() {
    return problems;
  }
}
