package org.ftcluster.cli.console;

import java.util.List;
import java.util.Locale;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.worker.tensor.NativeException;
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
      return ofThisMachine(JobSpec.Device.CPU, workers);
    }
    if (!(gigabytes > 0)) {
      throw CommandException.badRequest(
          "%s is %s; give gigabytes, such as 16".formatted(OPTION, gigabytes));
    }
    return (long) (gigabytes * 1e9);
  }

  /**
   * Of each worker, in bytes, where a job's layers are.
   *
   * @throws CommandException when it isn't above 0, or nobody knows
   */
  public long bytes(JobSpec.Device device) {
    return gigabytes == null ? ofThisMachine(device, 1) : bytes(1);
  }

  /**
   * What each worker has of this machine's, in bytes, where a job's layers are.
   *
   * @param workers that share it; a GPU is one worker's
   * @throws CommandException when there is no GPU here to be asked
   */
  public static long ofThisMachine(JobSpec.Device device, int workers) {
    return switch (device) {
      case CPU -> MachineMemory.total() / workers;
      case CUDA -> {
        try {
          yield MachineMemory.ofGpu();
        } catch (NativeException e) {
          throw CommandException.badRequest(
              "resources.device is cuda, and how much memory a worker's GPU has isn't known here: %s; `ftcluster plan JOB.yaml --memory 80` plans for 80 GB, and prints what parallel.* to give"
                  .formatted(e.getMessage()));
        }
      }
    };
  }

  /** How a command line says so many bytes. */
  public static List<String> arguments(long bytes) {
    return List.of(OPTION, String.format(Locale.ROOT, "%.3f", bytes / 1e9));
  }
}
