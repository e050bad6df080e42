package org.ftcluster.cli.console;

import java.io.PrintWriter;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.stream.Collectors;
import org.ftcluster.protocol.cluster.NodeStartException;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.protocol.security.BadCredentialsException;
import org.ftcluster.worker.tensor.NativeException;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine;
import picocli.CommandLine.IExecutionExceptionHandler;
import picocli.CommandLine.IParameterExceptionHandler;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ParseResult;
import picocli.CommandLine.UnmatchedArgumentException;

/** The one place where an exception becomes sentences and an exit code. */
public final class FailureReport implements IParameterExceptionHandler, IExecutionExceptionHandler {
  private final boolean json;
  private final boolean debug;

  /**
   * @param args the whole command line: it may be wrong in front of {@code --json}
   */
  public FailureReport(String[] args) {
    List<String> arguments = Arrays.asList(args);
    json = arguments.contains(CommonOptions.JSON);
    debug = arguments.contains(CommonOptions.DEBUG);
  }

  /** A line of JSON on standard output for a command that could not do its work. */
  record ErrorLine(String error, int exitCode) {}

  @Override
  public int handleParseException(ParameterException exception, String[] args) {
    CommandLine command = exception.getCommandLine();
    String message = sentence(exception);
    List<String> near =
        exception instanceof UnmatchedArgumentException unmatched
            ? unmatched.getSuggestions()
            : List.of();
    if (!near.isEmpty()) {
      message += near.stream().limit(3).collect(Collectors.joining(" or ", "; did you mean ", "?"));
    }
    String hint =
        "`%s --help` shows what it takes".formatted(command.getCommandSpec().qualifiedName());
    return report(command, ExitCode.BAD_REQUEST, List.of(message, hint), exception);
  }

  @Override
  public int handleExecutionException(
      Exception exception, CommandLine command, @Nullable ParseResult parsed) {
    return switch (exception) {
      case ParameterException wrong -> handleParseException(wrong, new String[0]);
      case CommandException failure ->
          report(command, failure.exitCode(), failure.problems(), exception);
      case BadJobException _, NodeStartException _, BadCredentialsException _ ->
          report(command, ExitCode.BAD_REQUEST, sentence(exception).lines().toList(), exception);
      case NativeException _ ->
          report(
              command,
              ExitCode.FAILED,
              List.of("libtorch or the GPU gave up: " + sentence(exception)),
              exception);
      default ->
          report(
              command,
              ExitCode.FAILED,
              List.of(
                  "unexpected: " + sentence(exception) + (debug ? "" : " (--debug shows where)")),
              exception);
    };
  }

  private int report(
      CommandLine command, ExitCode exitCode, List<String> sentences, Exception exception) {
    PrintWriter err = command.getErr();
    for (String sentence : sentences) {
      err.println("ftcluster: " + sentence);
    }
    if (debug) {
      exception.printStackTrace(err);
    }
    if (json) {
      command
          .getOut()
          .println(Json.line(new ErrorLine(String.join("\n", sentences), exitCode.code())));
    }
    return exitCode.code();
  }

  private static String sentence(Exception exception) {
    return Objects.requireNonNullElse(exception.getMessage(), exception.getClass().getSimpleName());
  }
}
