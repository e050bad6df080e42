package org.ftcluster.cli.console;

import java.util.List;
import java.util.Locale;
import org.ftcluster.worker.training.MachineMemory;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** How much memory a worker has. */
public final class MemoryOption {
  public static final String OPTION = "--memory";

  @Option(
      names = OPTION,
      paramLabel = "GB",
      description = "Memory that a worker may take, in GB (default: all of this machine's).")
  private @Nullable Double gigabytes;

  /** Of a worker that has the machine to itself, in bytes. */
  public long bytes() {
    return bytes(1);
  }

  /**
   * Of each worker, in bytes.
   *
   * @param workers that share this machine
   * @throws CommandException when it isn't above 0
   */
  public long bytes(int workers) {
    if (gigabytes == null) {
      return MachineMemory.total() / workers;
    }
    if (!(gigabytes > 0)) {
      throw CommandException.badRequest(
          "%s is %s; give gigabytes, such as 16".formatted(OPTION, gigabytes));
    }
    return (long) (gigabytes * 1e9);
  }

  /** How a command line says so many bytes. */
  public static List<String> arguments(long bytes) {
    return List.of(OPTION, String.format(Locale.ROOT, "%.3f", bytes / 1e9));
  }
}
