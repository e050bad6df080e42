package org.ftcluster.coordinator.journal;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/**
 * A PostgreSQL server with an empty database, on loopback and in a folder of its own. Uses what is
 * installed on the machine; tests are skipped where nothing is.
 */
public final class PostgresServer implements AutoCloseable {
  private static final String USER = "ftcluster";

  /** PostgreSQL refuses to run as root. */
  private static final String UNPRIVILEGED = "nobody";

  private static final long PATIENCE_SECONDS = 60;

  private final Path folder;
  private final int port;

  private PostgresServer(Path folder, int port) {
    this.folder = folder;
    this.port = port;
  }

  /** Starts one, or skips the test. */
  public static PostgresServer start() throws IOException, InterruptedException {
    assumeTrue(find("initdb") != null, "no PostgreSQL is installed here: its tests are skipped");
    assumeTrue(
        !isRoot() || Files.isExecutable(Path.of("/usr/bin/setpriv")),
        "PostgreSQL doesn't run as root, and there is no setpriv: its tests are skipped");
    Path folder = Files.createTempDirectory("postgresql");
    int port;
    try (ServerSocket free = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      port = free.getLocalPort();
    }
    PostgresServer server = new PostgresServer(folder, port);
    if (isRoot()) {
      run(List.of("chown", UNPRIVILEGED, folder.toString()));
    }
    server.tool("initdb", "-D", server.data(), "-U", USER, "-A", "trust", "--no-sync");
    server.resume();
    return server;
  }

  /** For connections as {@link JournalStore.Postgresql}. */
  public String url() {
    return "jdbc:postgresql://127.0.0.1:%d/postgres".formatted(port);
  }

  public String user() {
    return USER;
  }

  public JournalStore store() {
    return new JournalStore.Postgresql(url(), USER, "");
  }

  /** Ends the server at once; its data stay. */
  public void interrupt() throws IOException, InterruptedException {
    tool("pg_ctl", "-D", data(), "-m", "immediate", "-w", "stop");
  }

  /** Starts it again. */
  public void resume() throws IOException, InterruptedException {
    tool(
        "pg_ctl",
        "-D",
        data(),
        "-l",
        folder.resolve("log").toString(),
        "-o",
        "-p %d -k %s -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=40"
            .formatted(port, folder),
        "-w",
        "start");
  }

  @Override
  public void close() throws IOException, InterruptedException {
    interrupt();
    try (Stream<Path> files = Files.walk(folder)) {
      for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
        Files.delete(file);
      }
    }
  }

  private String data() {
    return folder.resolve("data").toString();
  }

  private void tool(String name, String... args) throws IOException, InterruptedException {
    List<String> command = new ArrayList<>();
    if (isRoot()) {
      command.addAll(List.of("setpriv", "--reuid=" + UNPRIVILEGED, "--clear-groups"));
    }
    command.add(String.valueOf(find(name)));
    command.addAll(List.of(args));
    run(command);
  }

  private static void run(List<String> command) throws IOException, InterruptedException {
    Path output = Files.createTempFile("postgresql", ".out");
    Process process =
        new ProcessBuilder(command)
            .directory(Path.of("/").toFile())
            .redirectErrorStream(true)
            .redirectOutput(output.toFile())
            .start();
    boolean ended = process.waitFor(PATIENCE_SECONDS, TimeUnit.SECONDS);
    String said = Files.readString(output);
    Files.delete(output);
    if (!ended || process.exitValue() != 0) {
      throw new IllegalStateException(command + ": " + said);
    }
  }

  private static boolean isRoot() {
    return System.getProperty("user.name").equals("root");
  }

  /** From the path, or where Debian puts it; null where it isn't. */
  private static Path find(String tool) {
    List<Path> folders = new ArrayList<>();
    for (String folder : System.getenv("PATH").split(":")) {
      folders.add(Path.of(folder));
    }
    Path debian = Path.of("/usr/lib/postgresql");
    if (Files.isDirectory(debian)) {
      try (Stream<Path> versions = Files.list(debian)) {
        versions.sorted(Comparator.reverseOrder()).forEach(v -> folders.add(v.resolve("bin")));
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
    return folders.stream()
        .map(folder -> folder.resolve(tool))
        .filter(Files::isExecutable)
        .findFirst()
        .orElse(null);
  }
}
