package org.ftcluster.cli.local;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.regex.Pattern;
import org.ftcluster.cli.console.CommandException;
import org.ftcluster.cli.console.Json;

/**
 * A JVM of ours that ends when this one does, however that ends: it watches its standard input,
 * whose other end is here. Its standard error goes to a log file; its standard output is lines of
 * JSON, one of which may tell that it is ready, or why it isn't.
 */
public final class ChildJvm implements AutoCloseable {
  private static final Duration FAREWELL =
      StartupCache.isRecorded() ? Duration.ofMinutes(2) : Duration.ofSeconds(3);

  /** Exit codes above it are signals. */
  private static final int BY_SIGNAL = 128;

  private static final Pattern STACK_FRAME = Pattern.compile("^\\s+(at |\\.\\.\\. )");

  private final Launch launch;
  private final Process process;
  private final CompletableFuture<JsonNode> ready = new CompletableFuture<>();
  private final CompletableFuture<List<JsonNode>> output = new CompletableFuture<>();

  /**
   * What to run.
   *
   * @param name in messages, and of the log file
   * @param main the main class, found on this JVM's own class path
   * @param prefix a command that becomes the JVM in the end; often empty
   */
  public record Launch(
      String name,
      String main,
      List<String> flags,
      List<String> arguments,
      Map<String, String> environment,
      Path logs,
      List<String> prefix) {
    Launch(
        String name,
        String main,
        List<String> flags,
        List<String> arguments,
        Map<String, String> environment,
        Path logs) {
      this(name, main, flags, arguments, environment, logs, List.of());
    }

    /** The same behind a command that becomes the JVM in the end. */
    public Launch behind(List<String> prefix) {
      return new Launch(name, main, flags, arguments, environment, logs, prefix);
    }

    public Path log() {
      return logs.resolve(name + ".log");
    }

    private List<String> command() {
      List<String> command = new ArrayList<>(prefix);
      command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
      command.addAll(flags);
      command.add("-XX:ErrorFile=" + logs.resolve("hs_err_%p.log"));
      command.addAll(List.of("-cp", System.getProperty("java.class.path"), main));
      command.addAll(arguments);
      return command;
    }
  }

  private ChildJvm(Launch launch, Process process) {
    this.launch = launch;
    this.process = process;
    Thread.ofPlatform().daemon().name(launch.name() + " output").start(this::readOutput);
  }

  public static ChildJvm start(Launch launch) {
    ProcessBuilder builder = new ProcessBuilder(launch.command());
    builder.environment().putAll(launch.environment());
    builder.redirectError(ProcessBuilder.Redirect.appendTo(launch.log().toFile()));
    try {
      return new ChildJvm(launch, builder.start());
    } catch (IOException e) {
      throw CommandException.failed(
              "process %s can't be started: %s".formatted(launch.name(), e.getMessage()))
          .because(e);
    }
  }

  public Launch launch() {
    return launch;
  }

  public long pid() {
    return process.pid();
  }

  /** For signals: unlike those of {@link Process} they leave the child's streams open. */
  public ProcessHandle handle() {
    return process.toHandle();
  }

  /** Lets a child go on that waits, in its prefix, for a line of input. */
  public void release() {
    try {
      process.getOutputStream().write('\n');
      process.getOutputStream().flush();
    } catch (IOException e) {
      throw CommandException.failed(
              "process %s ended before it began: %s".formatted(launch.name(), lastWords()))
          .because(e);
    }
  }

  public boolean alive() {
    return process.isAlive();
  }

  /** Completes when the process has ended, by whatever cause. */
  public CompletableFuture<ChildJvm> onExit() {
    return process.onExit().thenApply(ended -> this);
  }

  /**
   * Waits for the line that says what a ready child offers.
   *
   * @throws CommandException when the child ended or failed instead, with its own words
   */
  public JsonNode awaitReady(Duration timeout) {
    try {
      return ready.get(timeout.toMillis(), TimeUnit.MILLISECONDS);
    } catch (TimeoutException e) {
      throw CommandException.failed(
              "process %s is not ready after %d s; its log is %s"
                  .formatted(launch.name(), timeout.toSeconds(), launch.log()))
          .because(e);
    } catch (ExecutionException e) {
      throw CommandException.failed(
              "process %s did not start: %s (its log is %s)"
                  .formatted(launch.name(), e.getCause().getMessage(), launch.log()))
          .because(e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw CommandException.failed("interrupted").because(e);
    }
  }

  /** Whether it has ended, and as it should. */
  public boolean endedWell() {
    return !process.isAlive() && process.exitValue() == 0;
  }

  /** How the process ended, in words. */
  public String lastWords() {
    if (!process.isAlive() && process.exitValue() > BY_SIGNAL) {
      return "it was killed by signal " + (process.exitValue() - BY_SIGNAL);
    }
    return lastLine().map(line -> "its last words are \"" + line + "\"").orElse("it said nothing")
        + (process.isAlive() ? "" : ", its exit code is " + process.exitValue());
  }

  private Optional<String> lastLine() {
    try (var lines = Files.lines(launch.log())) {
      return lines
          .filter(line -> !line.isBlank() && !STACK_FRAME.matcher(line).find())
          .reduce((a, b) -> b)
          .map(String::strip);
    } catch (IOException | UncheckedIOException e) {
      return Optional.empty();
    }
  }

  /**
   * Waits for the child to end by itself.
   *
   * @return all that it printed
   * @throws CommandException when it failed, with its own words
   */
  List<JsonNode> awaitOutput(Duration timeout) {
    try {
      List<JsonNode> lines = output.get(timeout.toMillis(), TimeUnit.MILLISECONDS);
      if (process.exitValue() != 0) {
        throw CommandException.failed(
            "process %s failed: %s (its log is %s)"
                .formatted(launch.name(), error(lines).orElseGet(this::lastWords), launch.log()));
      }
      return lines;
    } catch (TimeoutException | ExecutionException e) {
      throw CommandException.failed(
              "process %s did not end within %d s; its log is %s"
                  .formatted(launch.name(), timeout.toSeconds(), launch.log()))
          .because(e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw CommandException.failed("interrupted").because(e);
    }
  }

  private void readOutput() {
    List<JsonNode> lines = new ArrayList<>();
    try (BufferedReader reader = process.inputReader()) {
      for (String line = reader.readLine(); line != null; line = reader.readLine()) {
        if (line.startsWith("{")) {
          JsonNode json = Json.parse(line);
          lines.add(json);
          if (json.path("event").asText().equals("ready")) {
            ready.complete(json);
          }
        }
      }
    } catch (IOException e) {
      ready.completeExceptionally(e);
    }
    process.onExit().join();
    ready.completeExceptionally(new IOException(error(lines).orElseGet(this::lastWords)));
    output.complete(List.copyOf(lines));
  }

  private static Optional<String> error(List<JsonNode> lines) {
    return lines.stream()
        .filter(line -> line.hasNonNull("error"))
        .map(line -> line.get("error").asText())
        .findFirst();
  }

  /** Tells the child to end, and doesn't wait. */
  public void dismiss() {
    try {
      process.getOutputStream().close();
    } catch (IOException e) {
      process.destroyForcibly();
    }
  }

  /** Ends the child, and returns when it has ended. */
  @Override
  public void close() {
    dismiss();
    if (!awaitEnd()) {
      process.destroyForcibly();
      awaitEnd();
    }
  }

  private boolean awaitEnd() {
    try {
      return process.waitFor(FAREWELL.toMillis(), TimeUnit.MILLISECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return false;
    }
  }
}
