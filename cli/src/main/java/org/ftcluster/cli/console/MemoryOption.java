package org.ftcluster.cli.console;

import org.ftcluster.worker.training.MachineMemory;
import picocli.CommandLine.Option;

/** How much memory a worker has. */
public final class MemoryOption {
  @Option(
      names = "--memory",
      paramLabel = "GB",
      description = "Memory that a worker may take, in GB (default: all of this machine's).")
  private double gigabytes = MachineMemory.total() / 1e9;

  /**
   * In bytes.
   *
   * @throws CommandException when it isn't above 0
   */
  public long bytes() {
    if (!(gigabytes > 0)) {
      throw CommandException.badRequest(
          "--memory is %s; give gigabytes, such as 16".formatted(gigabytes));
    }
    return (long) (gigabytes * 1e9);
  }
}
