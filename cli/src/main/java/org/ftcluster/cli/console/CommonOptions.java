package org.ftcluster.cli.console;

import picocli.CommandLine;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Options that every command takes. */
public final class CommonOptions {
  public static final String JSON = "--json";
  static final String DEBUG = "--debug";

  @Option(
      names = JSON,
      description = "Print one JSON object a line on standard output, and nothing else there.")
  private boolean json;

  @Option(names = DEBUG, description = "Show stack traces.")
  private boolean debug;

  @SuppressWarnings("UnusedVariable") // Its option is all that counts.
  @Option(
      names = {"-h", "--help"},
      usageHelp = true,
      description = "Print this help and exit.")
  private boolean help;

  @Spec(Spec.Target.MIXEE)
  private CommandSpec command;

  /** Where the command's output goes. */
  public Console console() {
    CommandLine commandLine = command.commandLine();
    return new Console(commandLine.getOut(), commandLine.getErr(), json);
  }

  public boolean debug() {
    return debug;
  }
}
