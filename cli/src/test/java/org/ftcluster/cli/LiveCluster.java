package org.ftcluster.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.ftcluster.cli.console.Json;

/** Coordinators, workers and watchers as processes of their own, whose ends are the test's. */
final class LiveCluster implements AutoCloseable {
  private final Path folder;
  private final String addresses;
  private final List<LiveCommand> started = new ArrayList<>();

  /**
   * @param addresses of coordinators, as clients and workers are told
   */
  LiveCluster(Path folder, String addresses) {
    this.folder = folder;
    this.addresses = addresses;
  }

  static String freeAddress() throws IOException {
    try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      return "127.0.0.1:" + socket.getLocalPort();
    }
  }

  /** Returns when it is ready. */
  LiveCommand startCoordinator(String address, String... more) throws Exception {
    LiveCommand coordinator =
        start(
            Stream.concat(
                    Stream.of("coordinator", "--grpc", address, "--cluster-port", "0"),
                    Stream.of(more))
                .toArray(String[]::new));
    coordinator.awaitEvent("ready");
    return coordinator;
  }

  LiveCommand startWorker() throws IOException {
    return startWorker(Map.of());
  }

  LiveCommand startWorker(Map<String, String> environment, String... more) throws IOException {
    return start(
        environment,
        Stream.concat(Stream.of("worker", "--coordinator", addresses), Stream.of(more))
            .toArray(String[]::new));
  }

  LiveCommand watch(String job) throws IOException {
    return start("watch", job, "--coordinator", addresses);
  }

  LiveCommand start(String... args) throws IOException {
    return start(Map.of(), args);
  }

  private LiveCommand start(Map<String, String> environment, String... args) throws IOException {
    LiveCommand command = LiveCommand.start(folder.resolve("nodes.log"), environment, args);
    started.add(command);
    return command;
  }

  /**
   * Submits a job; returns its id.
   *
   * @param out where its results go
   * @param settings {@code key=value}
   */
  String submit(SampleJob sample, String out, String... settings) throws IOException {
    List<String> all = new ArrayList<>(List.of(settings));
    all.add("checkpoint.path=" + out);
    Cli.Result submitted = trySubmit(sample, all.toArray(String[]::new));
    assertEquals(0, submitted.exitCode(), submitted.err());
    return job(submitted);
  }

  /** Submits a job that there are never enough workers for. */
  Cli.Result submitWaiting(SampleJob sample) {
    return trySubmit(sample, "elastic.min_workers=8", "checkpoint.path=waiting");
  }

  /** The id of a job that was acknowledged. */
  static String job(Cli.Result submitted) throws IOException {
    return Json.parse(submitted.out()).path("job").asText();
  }

  /** All jobs that the coordinators know. */
  List<String> jobs() throws IOException {
    return lines("jobs").stream().map(line -> line.path("job").asText()).toList();
  }

  private Cli.Result trySubmit(SampleJob sample, String... settings) {
    List<String> args = new ArrayList<>(List.of("submit", sample.jobFile()));
    for (String setting : settings) {
      args.addAll(List.of("--set", setting));
    }
    return client(args.toArray(String[]::new));
  }

  /** A command that ends by itself, in this JVM. */
  Cli.Result client(String... args) {
    List<String> all = new ArrayList<>(List.of(args));
    all.addAll(List.of("--json", "--coordinator", addresses));
    return Cli.run(all.toArray(String[]::new));
  }

  List<JsonNode> lines(String... args) throws IOException {
    Cli.Result result = client(args);
    assertEquals(0, result.exitCode(), result.err());
    List<JsonNode> lines = new ArrayList<>();
    for (String line : result.lines()) {
      lines.add(Json.parse(line));
    }
    return lines;
  }

  /** Lines of a file in a job's folder. */
  List<String> file(String out, String file) throws IOException {
    return Files.readAllLines(folder.resolve(out).resolve(file));
  }

  /** A field of all lines of a file in a job's folder. */
  List<Long> column(String out, String file, String field) throws IOException {
    List<Long> values = new ArrayList<>();
    for (String line : file(out, file)) {
      values.add(Json.parse(line).path(field).asLong());
    }
    return values;
  }

  static void signal(String name, LiveCommand process) throws Exception {
    int exit =
        new ProcessBuilder("kill", "-" + name, String.valueOf(process.handle().pid()))
            .start()
            .waitFor();
    assertEquals(0, exit);
  }

  /** Waits for a step by so many. */
  static JsonNode awaitWorkers(LiveCommand watch, int workers) throws InterruptedException {
    return watch.await(line -> isStep(line) && line.path("workers").asInt() == workers);
  }

  static boolean isResult(JsonNode line) {
    return line.has("adapter_sha256");
  }

  static boolean isStep(JsonNode line) {
    return line.path("event").asText().equals("step");
  }

  @Override
  public void close() {
    started.forEach(LiveCommand::close);
  }
}
