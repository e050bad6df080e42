package org.ftcluster.cli.jvm;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.ftcluster.cli.Main;
import org.jspecify.annotations.Nullable;

/**
 * What a JVM of ours is to run.
 *
 * @param name in messages, and of the log file
 * @param main the main class, found on the {@link Installation#classPath() class path}
 * @param environment variables besides this JVM's own
 * @param logs the folder of the log file; null where its standard error is this JVM's
 * @param prefix a command that becomes the JVM in the end; often empty
 */
public record Launch(
    String name,
    String main,
    List<String> flags,
    List<String> arguments,
    Map<String, String> environment,
    @Nullable Path logs,
    List<String> prefix) {
  public Launch(
      String name,
      String main,
      List<String> flags,
      List<String> arguments,
      Map<String, String> environment,
      @Nullable Path logs) {
    this(name, main, flags, arguments, environment, logs, List.of());
  }

  /**
   * A command that anyone can type.
   *
   * @param flags that it needs
   * @param limits flags besides
   * @param arguments the command's name first
   */
  public static Launch command(
      String name,
      List<String> flags,
      List<String> limits,
      List<String> arguments,
      Map<String, String> environment,
      @Nullable Path logs) {
    List<String> allFlags = new ArrayList<>(flags);
    allFlags.addAll(Installation.flags(arguments.getFirst()));
    allFlags.add("-XX:+UseSerialGC");
    allFlags.addAll(limits);
    List<String> allArguments = new ArrayList<>(arguments);
    allArguments.addAll(List.of("--parent-watch", "--json"));
    return new Launch(name, Main.class.getName(), allFlags, allArguments, environment, logs);
  }

  /** The same behind a command that becomes the JVM in the end. */
  public Launch behind(List<String> prefix) {
    return new Launch(name, main, flags, arguments, environment, logs, prefix);
  }

  /** Where its standard error goes, if that is a file. */
  public Optional<Path> log() {
    return Optional.ofNullable(logs).map(folder -> folder.resolve(name + ".log"));
  }

  /** {@code (its log is FILE)} to end a sentence with, or nothing. */
  public String whereItsLogIs() {
    return log().map(" (its log is %s)"::formatted).orElse("");
  }

  List<String> commandLine() {
    List<String> command = new ArrayList<>(prefix);
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(flags);
    if (logs != null) {
      command.add("-XX:ErrorFile=" + logs.resolve("hs_err_%p.log"));
    }
    command.addAll(List.of("-cp", Installation.classPath(), main));
    command.addAll(arguments);
    return command;
  }
}
