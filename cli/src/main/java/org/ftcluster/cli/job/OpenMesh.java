package org.ftcluster.cli.job;

import java.util.Locale;
import java.util.function.LongSupplier;
import org.ftcluster.cli.console.Console;
import org.ftcluster.cli.console.MemoryOption;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.worker.parallel.Machine;
import org.ftcluster.worker.training.TrainingTaskFactory;

/** What a job leaves open of its mesh, {@code parallel: auto}, is chosen before it is handed in. */
public final class OpenMesh {
  private OpenMesh() {}

  /** For as many workers as the job may use, each a machine like this one. */
  public static JobSpec chosen(JobSpec job, Console console) {
    return chosen(
        job,
        job.elastic().maxWorkers(),
        () -> MemoryOption.ofThisMachine(job.resources().device(), 1),
        Machine.CPU,
        console);
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
    return job.withParallel(mesh);
  }
}
