package org.ftcluster.cli;

import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import org.ftcluster.cli.console.FailureReport;
import picocli.CommandLine;

/** Entry of the {@code ftcluster} command. */
public final class Main {
  private Main() {}

  public static void main(String[] args) {
    PrintWriter out = new PrintWriter(System.out, true, StandardCharsets.UTF_8);
    PrintWriter err = new PrintWriter(System.err, true, StandardCharsets.UTF_8);
    System.exit(run(out, err, args));
  }

  /**
   * Runs one command.
   *
   * @param out gets results: text for people, or with {@code --json} one JSON object a line
   * @param err gets everything else
   * @return the exit code: 0 done, 1 the job or check failed, 2 the request is wrong, 3 the cluster
   *     can't be reached
   */
  public static int run(PrintWriter out, PrintWriter err, String... args) {
    FailureReport failures = new FailureReport(args);
    int exitCode =
        new CommandLine(new FtCluster())
            .setOut(out)
            .setErr(err)
            .setCaseInsensitiveEnumValuesAllowed(true)
            .setParameterExceptionHandler(failures)
            .setExecutionExceptionHandler(failures)
            .execute(args);
    out.flush();
    err.flush();
    return exitCode;
  }
}
