package org.ftcluster.cli;

import static org.junit.jupiter.api.Assertions.assertAll;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.ftcluster.cli.console.Json;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine;

/** What every command line can rely on: help with an example, exit codes, sentences. */
class CommandLineTest {
  static Stream<String> commands() {
    return new CommandLine(new FtCluster()).getSubcommands().keySet().stream();
  }

  @ParameterizedTest
  @MethodSource("commands")
  void everyCommandHasHelpWithAnExampleAndTakesJson(String command) {
    Cli.Result help = Cli.run(command, "--help");

    assertAll(
        () -> assertEquals(0, help.exitCode()),
        () -> assertTrue(help.out().contains("Example:\n  ftcluster " + command), help.out()),
        () -> assertTrue(help.out().contains("--json"), help.out()),
        () -> assertTrue(help.out().contains("--debug"), help.out()),
        () -> assertEquals("", help.err()));
  }

  @Test
  void helpNamesEveryCommand() {
    Cli.Result help = Cli.run("--help");

    assertEquals(0, help.exitCode());
    commands().forEach(command -> assertTrue(help.out().contains("  " + command + " "), command));
  }

  @Test
  void aMissingCommandIsAWrongRequest() {
    Cli.Result result = Cli.run();

    assertEquals(2, result.exitCode());
    assertTrue(result.err().contains("a command is missing"), result.err());
  }

  @Test
  void anUnknownCommandGetsTheNearestOne() {
    Cli.Result result = Cli.run("job");

    assertEquals(2, result.exitCode());
    assertTrue(result.err().contains("'job'"), result.err());
    assertTrue(result.err().contains("jobs"), result.err());
  }

  @ParameterizedTest
  @ValueSource(strings = {"0", "-1", "NaN"})
  void aWorkerHasSomeMemory(String gigabytes) {
    Cli.Result result = Cli.run("worker", "--memory", gigabytes);

    assertEquals(2, result.exitCode());
    assertTrue(result.err().contains("give gigabytes, such as 16"), result.err());
  }

  @Test
  void aGpusMemoryIsPlannedWhereItsSizeIsGiven() {
    String job = "../deploy/samples/decompile/job.yaml";
    String[] plan = {"plan", job, "--set", "resources.device=cuda"};
    Cli.Result small = Cli.run(with(plan, "--memory", "0.5"));
    assertEquals(1, small.exitCode(), small.err());
    assertTrue(small.out().startsWith("A worker's GPU needs up to "), small.out());
    assertTrue(small.out().contains("It does not fit: "), small.out());
    assertEquals(0, Cli.run(with(plan, "--memory", "2")).exitCode());

    assumeFalse(Files.exists(Path.of("/dev/nvidiactl")), "this machine has a GPU");
    Cli.Result unknown = Cli.run(plan);
    assertEquals(2, unknown.exitCode());
    assertTrue(
        unknown.err().contains("--memory 80` plans for 80 GB, and prints what"), unknown.err());
  }

  private static String[] with(String[] arguments, String... more) {
    return Stream.concat(Stream.of(arguments), Stream.of(more)).toArray(String[]::new);
  }

  @Test
  void aListOfGpusLeavesNothingForTheDeviceToSay() {
    Cli.Result result = Cli.run("worker", "--gpus", "0", "--device", "cuda:0");

    assertEquals(2, result.exitCode());
    assertTrue(result.err().contains("leave --device out"), result.err());
  }

  @Test
  void aDeviceThatNobodyKnowsIsRefused() {
    Cli.Result result = Cli.run("worker", "--coordinator", "127.0.0.1:1", "--device", "gpu");

    assertEquals(2, result.exitCode());
    assertTrue(result.err().contains("--device is 'gpu'; give cpu, or a GPU"), result.err());
  }

  @Test
  void aGpuThatIsNotThereIsSaidWithTheWayAroundIt() {
    assumeFalse(Files.exists(Path.of("/dev/nvidiactl")), "this machine has a GPU");
    Cli.Result result =
        Cli.run("generate", "--model", "missing", "--prompt", "x", "--device", "cuda");

    assertEquals(1, result.exitCode());
    assertTrue(result.err().contains("the GPU can't be used: "), result.err());
    assertTrue(result.err().contains("--device cpu computes without"), result.err());
  }

  @Test
  void anUnknownOptionGetsTheNearestOne() {
    Cli.Result result = Cli.run("jobs", "--coordinater", "127.0.0.1:1");

    assertEquals(2, result.exitCode());
    assertTrue(result.err().contains("'--coordinater'"), result.err());
    assertTrue(result.err().contains("--coordinator"), result.err());
    assertTrue(result.err().contains("`ftcluster jobs --help`"), result.err());
  }

  @ParameterizedTest
  @MethodSource("notAddresses")
  void anAddressIsAHostAndAPort(String address) {
    Cli.Result result = Cli.run("jobs", "--coordinator", address);

    assertEquals(2, result.exitCode());
    assertTrue(result.err().contains("HOST:PORT is wanted"), result.err());
  }

  static List<String> notAddresses() {
    return List.of(
        "localhost", "localhost:", ":7600", "localhost:port", "localhost:70000", "::1:7600");
  }

  @Test
  void aCoordinatorThatIsNotThereIsUnreachable() throws IOException {
    int port = freePort();

    Cli.Result result = Cli.run("jobs", "--coordinator", "127.0.0.1:" + port);

    assertEquals(3, result.exitCode());
    assertEquals("", result.out());
    assertTrue(result.err().contains("no coordinator answers at 127.0.0.1:" + port), result.err());
    assertTrue(result.err().contains("Connection refused"), result.err());
    assertEquals(1, result.err().lines().count(), result.err());
  }

  @Test
  void withJsonAFailureIsALineOfJsonToo() throws IOException {
    Cli.Result result = Cli.run("nodes", "--json", "--coordinator", "127.0.0.1:" + freePort());

    assertEquals(3, result.exitCode());
    assertEquals(1, result.lines().size());
    assertEquals(3, Json.parse(result.lines().getFirst()).path("exit_code").asInt());
    assertTrue(result.err().contains("no coordinator answers"), result.err());
  }

  @Test
  void stackTracesAreForDebuggingOnly() throws IOException {
    String nobody = "127.0.0.1:" + freePort();

    assertTrue(!Cli.run("jobs", "--coordinator", nobody).err().contains("\tat "));
    assertTrue(Cli.run("jobs", "--debug", "--coordinator", nobody).err().contains("\tat "));
  }

  private static int freePort() throws IOException {
    try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      return socket.getLocalPort();
    }
  }
}
