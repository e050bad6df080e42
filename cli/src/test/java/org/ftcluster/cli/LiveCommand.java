package org.ftcluster.cli;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;
import java.util.stream.Stream;
import org.ftcluster.cli.console.Json;
import org.ftcluster.cli.jvm.Installation;
import org.ftcluster.cli.jvm.JvmFlags;

/** A command in a JVM of its own, started with {@code --json}. */
final class LiveCommand implements AutoCloseable {
  /** Bounded, and far beyond what a machine needs that has other things to do. */
  private static final Duration PATIENCE = Duration.ofMinutes(5);

  private static final long LOOK_MS = 200;

  private final Process process;
  private final List<JsonNode> seen = new ArrayList<>();
  private final BlockingQueue<JsonNode> lines = new LinkedBlockingQueue<>();
  private final Thread reader;

  private LiveCommand(Process process) {
    this.process = process;
    this.reader = Thread.ofPlatform().daemon().start(this::read);
  }

  /**
   * Starts a command.
   *
   * @param log where its standard error goes
   */
  static LiveCommand start(Path log, String... args) throws IOException {
    return start(log, Map.of(), args);
  }

  /** As above, with more variables in its environment. */
  static LiveCommand start(Path log, Map<String, String> environment, String... args)
      throws IOException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    // In front of the class path: only the first 4096 characters of a command line can be seen.
    command.add("-Dtest=" + log);
    command.addAll(flags(args[0]));
    command.addAll(Installation.flags(args[0]));
    command.addAll(List.of("-XX:+UseSerialGC", "-Xmx512m"));
    command.addAll(List.of("-cp", Installation.classPath(), Main.class.getName()));
    command.addAll(List.of(args));
    command.add("--json");
    ProcessBuilder builder =
        new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.appendTo(log.toFile()));
    builder.environment().putAll(environment);
    return new LiveCommand(builder.start());
  }

  /** Only what computes is worth the optimizing compiler's time. */
  private static List<String> flags(String command) {
    if (command.equals("worker")) {
      return JvmFlags.tensor();
    }
    List<String> flags = new ArrayList<>(JvmFlags.network());
    flags.add("-XX:TieredStopAtLevel=1");
    return flags;
  }

  private void read() {
    try (BufferedReader output = process.inputReader()) {
      for (String line = output.readLine(); line != null; line = output.readLine()) {
        lines.add(Json.parse(line));
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  ProcessHandle handle() {
    return process.toHandle();
  }

  /** Waits for the next line like that. */
  JsonNode await(Predicate<JsonNode> wanted) throws InterruptedException {
    long deadline = System.nanoTime() + PATIENCE.toNanos();
    while (true) {
      boolean ended = !reader.isAlive();
      JsonNode line = lines.poll(LOOK_MS, TimeUnit.MILLISECONDS);
      if (line != null) {
        seen.add(line);
        if (wanted.test(line)) {
          return line;
        }
      } else if (ended || System.nanoTime() > deadline) {
        throw new AssertionError((ended ? "it ended, and " : "") + "no such line, only " + seen);
      }
    }
  }

  /** Waits for {@code {"event": ...}}. */
  JsonNode awaitEvent(String event) throws InterruptedException {
    return await(line -> line.path("event").asText().equals(event));
  }

  /** Waits for the end. */
  int exitCode() throws InterruptedException {
    if (!process.waitFor(PATIENCE.toSeconds(), TimeUnit.SECONDS)) {
      throw new AssertionError("still runs; it said " + lines());
    }
    return process.exitValue();
  }

  /** All lines, once it has ended. */
  List<JsonNode> lines() throws InterruptedException {
    reader.join(PATIENCE);
    lines.drainTo(seen);
    return List.copyOf(seen);
  }

  /** Processes whose command line names {@code folder}. */
  static List<ProcessHandle> naming(Path folder) {
    try (Stream<ProcessHandle> all = ProcessHandle.allProcesses()) {
      return all.filter(
              process -> process.info().commandLine().orElse("").contains(folder.toString()))
          .toList();
    }
  }

  @Override
  public void close() {
    process.descendants().forEach(ProcessHandle::destroyForcibly);
    process.destroyForcibly();
  }
}
