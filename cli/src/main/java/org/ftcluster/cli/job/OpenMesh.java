package org.ftcluster.cli.job;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.LongSupplier;
import org.ftcluster.cli.console.CommandException;
import org.ftcluster.cli.console.Console;
import org.ftcluster.cli.console.ExitCode;
import org.ftcluster.cli.console.MemoryOption;
import org.ftcluster.cli.jvm.ChildJvm;
import org.ftcluster.cli.jvm.JvmFlags;
import org.ftcluster.cli.jvm.Launch;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.job.JobSpecReader;
import org.ftcluster.protocol.job.JobSpecWriter;
import org.ftcluster.worker.parallel.Machine;
import org.ftcluster.worker.training.TrainingTaskFactory;

/** What a job leaves open of its mesh, {@code parallel: auto}, is chosen before it is handed in. */
public final class OpenMesh {
  private static final Duration TIMEOUT = Duration.ofMinutes(5);

  private OpenMesh() {}

  /** For as many workers as the job may use, each a machine like this one. */
  static JobSpec chosen(JobSpec job, Console console) {
    return chosen(
        job, job.elastic().maxWorkers(), () -> memoryOfThisMachine(job), Machine.CPU, console);
  }

  /** The same in a JVM of its own: that of a client has nothing that computes. */
  static JobSpec chosenApart(JobSpec job, Console console) {
    return chosenApart(job, job.elastic().maxWorkers(), () -> memoryOfThisMachine(job), 0, console);
  }

  private static long memoryOfThisMachine(JobSpec job) {
    return MemoryOption.ofThisMachine(job.resources().device(), 1);
  }

  /**
   * The same.
   *
   * @param memory of a worker, in bytes; asked for where there is something to choose
   * @param cores that workers share; 0 where each has its own
   */
  public static JobSpec chosenApart(
      JobSpec job, int workers, LongSupplier memory, int cores, Console console) {
    if (!job.parallel().isOpen()) {
      return job;
    }
    long bytes = memory.getAsLong();
    TemporaryFolder folder = TemporaryFolder.create();
    try {
      JobSpec chosen = askChild(job, workers, bytes, cores, folder);
      folder.remove();
      say(chosen.parallel(), workers, bytes, console);
      return chosen;
    } catch (CommandException e) {
      if (e.exitCode() == ExitCode.BAD_REQUEST) {
        folder.remove(); // otherwise the message names the log there
      }
      throw e;
    }
  }

  private static JobSpec askChild(
      JobSpec job, int workers, long bytes, int cores, TemporaryFolder folder) {
    List<String> arguments = new ArrayList<>();
    arguments.add("mesh");
    arguments.add(folder.write("job.yaml", JobSpecWriter.toYaml(job)).toString());
    arguments.addAll(List.of("--workers", String.valueOf(workers)));
    arguments.addAll(List.of("--cores", String.valueOf(cores)));
    arguments.addAll(MemoryOption.arguments(bytes));
    Launch launch =
        Launch.command(
            "mesh", JvmFlags.tensor(), List.of("-Xmx1g"), arguments, Map.of(), folder.path());
    try (ChildJvm child = ChildJvm.start(launch)) {
      String yaml = child.awaitOutput(TIMEOUT).getLast().path("yaml").asText();
      return JobSpecReader.parse(yaml, "the chosen layout", folder.path(), List.of());
    }
  }

  /**
   * The job with numbers, which are said to the user.
   *
   * @param memory of a worker, in bytes; asked for where there is something to choose
   */
  public static JobSpec chosen(
      JobSpec job, int workers, LongSupplier memory, Machine machine, Console console) {
    if (!job.parallel().isOpen()) {
      return job;
    }
    long bytes = memory.getAsLong();
    JobSpec.Parallel mesh = new TrainingTaskFactory().chooseMesh(job, workers, bytes, machine);
    say(mesh, workers, bytes, console);
    return job.withParallel(mesh);
  }

  private static void say(JobSpec.Parallel mesh, int workers, long bytes, Console console) {
    String group =
        mesh.shardingGroup() == 0 ? "" : ", sharding_group: %d".formatted(mesh.shardingGroup());
    console.talk(
        "parallel: {tensor: %d, pipeline: %d, interleave: %d, sharding: %s%s} is chosen for %d workers of %.1f GB."
            .formatted(
                mesh.tensor(),
                mesh.pipeline(),
                mesh.interleave(),
                mesh.sharding().name().toLowerCase(Locale.ROOT),
                group,
                workers,
                bytes / 1e9));
  }
}
