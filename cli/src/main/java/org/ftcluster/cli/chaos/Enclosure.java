package org.ftcluster.cli.chaos;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.ftcluster.cli.Main;
import org.ftcluster.cli.console.CommandException;
import org.ftcluster.cli.console.ParentWatch;
import org.ftcluster.cli.jvm.Installation;
import org.ftcluster.cli.jvm.JvmFlags;

/**
 * Namespaces for networks and mounts of our own, which vanish with the processes in them. They need
 * root, or a system that lets users make user namespaces.
 */
final class Enclosure {
  static final String OPTION = "--enclosed";

  private static final List<String> AS_ROOT = List.of("unshare", "--net", "--mount");
  private static final List<String> AS_USER =
      List.of("unshare", "--user", "--map-root-user", "--net", "--mount");
  private static final String TRIAL =
      "ip link add trial0 type bridge && ip link add trial1 type veth peer name trial2"
          + " && mount -t tmpfs -o size=1m tmpfs /mnt";

  private final List<String> unshare;

  private Enclosure(List<String> unshare) {
    this.unshare = unshare;
  }

  /** Whether a fault is best had inside. */
  static boolean isWantedFor(FaultKind kind) {
    return kind == FaultKind.PARTITION || kind == FaultKind.DISK_FULL;
  }

  /** Empty where the system doesn't permit one. */
  static Optional<Enclosure> find() {
    for (List<String> unshare : List.of(AS_ROOT, AS_USER)) {
      try {
        List<String> trial = new ArrayList<>(unshare);
        trial.addAll(List.of("sh", "-c", TRIAL));
        Shell.run(trial.toArray(String[]::new));
        return Optional.of(new Enclosure(unshare));
      } catch (CommandException e) {
        // The next way, or none.
      }
    }
    return Optional.empty();
  }

  /** Runs this command once more, inside, and returns its exit code. */
  int run(List<String> arguments) {
    List<String> command = new ArrayList<>(unshare);
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(JvmFlags.network());
    command.addAll(Installation.flags(arguments.getFirst()));
    command.addAll(List.of("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"));
    command.addAll(List.of("-cp", Installation.classPath(), Main.class.getName()));
    command.addAll(arguments);
    command.addAll(List.of(OPTION, ParentWatch.OPTION));
    try {
      Process process =
          new ProcessBuilder(command)
              .redirectOutput(ProcessBuilder.Redirect.INHERIT)
              .redirectError(ProcessBuilder.Redirect.INHERIT)
              .start();
      return process.waitFor();
    } catch (IOException e) {
      throw CommandException.failed("unshare can't be run: " + e.getMessage()).because(e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw CommandException.failed("interrupted").because(e);
    }
  }
}
