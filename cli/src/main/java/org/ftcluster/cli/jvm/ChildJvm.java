package org.ftcluster.cli.jvm;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.ProcessBuilder.Redirect;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.regex.Pattern;
import org.ftcluster.cli.console.CommandException;
import org.ftcluster.cli.console.ExitCode;
import org.ftcluster.cli.console.Json;

/**
 * A JVM of ours that ends when this one does, however that ends: it watches its standard input,
 * whose other end is here. Its standard error goes to a log file, or to ours; its standard output
 * is lines of JSON, one of which may tell that it is ready, or why it isn't.
 */
public final class ChildJvm implements AutoCloseable {
  private static final Duration FAREWELL =
      Installation.isRecorded() ? Duration.ofMinutes(2) : Duration.ofSeconds(3);

  /** Exit codes above it are signals. */
  private static final int BY_SIGNAL = 128;

  private static final Pattern STACK_FRAME = Pattern.compile("^\\s+(at |\\.\\.\\. )");

  private final Launch launch;
  private final Process process;
  private final CompletableFuture<JsonNode> ready = new CompletableFuture<>();
  private final CompletableFuture<List<JsonNode>> output = new CompletableFuture<>();

  private ChildJvm(Launch launch, Process process) {
    this.launch = launch;
    this.process = process;
    Thread.ofPlatform().daemon().name(launch.name() + " output").start(this::readOutput);
  }

  public static ChildJvm start(Launch launch) {
    ProcessBuilder builder = new ProcessBuilder(launch.commandLine());
    builder.environment().putAll(launch.environment());
    builder.redirectError(
        launch.log().map(log -> Redirect.appendTo(log.toFile())).orElse(Redirect.INHERIT));
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

  /** Completes when it is ready, with the line that says what it offers. */
  public CompletableFuture<JsonNode> onReady() {
    return ready.copy();
  }

  /** Whether it is ready, or was. */
  public boolean hasBeenReady() {
    return ready.state() == Future.State.SUCCESS;
  }

  /** Completes when it has ended and all that it printed is read, with the error that it names. */
  public CompletableFuture<Optional<String>> onEnd() {
    return output.thenApply(ChildJvm::error);
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
              "process %s is not ready after %d s%s"
                  .formatted(launch.name(), timeout.toSeconds(), launch.whereItsLogIs()))
          .because(e);
    } catch (ExecutionException e) {
      throw CommandException.failed(
              "process %s did not start: %s%s"
                  .formatted(launch.name(), e.getCause().getMessage(), launch.whereItsLogIs()))
          .because(e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw CommandException.failed("interrupted").because(e);
    }
  }

  /** Of a child that has ended. */
  public int exitCode() {
    return process.exitValue();
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
    List<String> words = new ArrayList<>();
    launch
        .log()
        .map(log -> lastLine(log).map("its last words are \"%s\""::formatted))
        .ifPresent(line -> words.add(line.orElse("it said nothing")));
    if (!process.isAlive()) {
      words.add("its exit code is " + process.exitValue());
    }
    return String.join(", ", words);
  }

  private static Optional<String> lastLine(Path log) {
    try (var lines = Files.lines(log)) {
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
   * @throws CommandException when it failed, or what it was asked for is wrong, with its own words
   */
  public List<JsonNode> awaitOutput(Duration timeout) {
    try {
      List<JsonNode> lines = output.get(timeout.toMillis(), TimeUnit.MILLISECONDS);
      Optional<String> error = error(lines);
      if (process.exitValue() == ExitCode.BAD_REQUEST.code() && error.isPresent()) {
        throw CommandException.badRequest(error.get());
      }
      if (process.exitValue() != 0) {
        throw CommandException.failed(
            "process %s failed: %s%s"
                .formatted(
                    launch.name(), error.orElseGet(this::lastWords), launch.whereItsLogIs()));
      }
      return lines;
    } catch (TimeoutException | ExecutionException e) {
      throw CommandException.failed(
              "process %s did not end within %d s%s"
                  .formatted(launch.name(), timeout.toSeconds(), launch.whereItsLogIs()))
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
    if (!awaitEnd(FAREWELL)) {
      process.destroyForcibly();
      awaitEnd(FAREWELL);
    }
  }

  /** Waits for its end; whether it has ended. */
  public boolean awaitEnd(Duration patience) {
    try {
      return process.waitFor(patience.toMillis(), TimeUnit.MILLISECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return false;
    }
  }
}
