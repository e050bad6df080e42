package org.ftcluster.cli.local;

import java.util.List;
import java.util.function.Function;
import org.ftcluster.cli.client.CoordinatorClient;
import org.ftcluster.cli.console.CommandException;
import org.ftcluster.cli.console.Console;
import org.ftcluster.cli.console.MemoryOption;
import org.ftcluster.cli.job.OpenMesh;
import org.ftcluster.cli.node.GpuList;
import org.ftcluster.cli.progress.JobFollower;
import org.ftcluster.cli.progress.JobOutcome;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.job.JobSpecWriter;
import org.ftcluster.protocol.security.Protection;

/** One job on a cluster of its own. */
final class LocalRun {
  private LocalRun() {}

  /**
   * Reads a job so that it may use all of {@code workers}, unless the command line says otherwise.
   *
   * @param read reads the job over the given {@code KEY.PATH=VALUE} defaults
   */
  static JobSpec forWorkers(int workers, Function<List<String>, JobSpec> read, Console console) {
    if (workers < 1) {
      throw CommandException.badRequest(
          "--workers is %d, but a job needs at least 1 worker".formatted(workers));
    }
    int atMost = Math.max(workers, read.apply(List.of()).elastic().maxWorkers());
    JobSpec open = read.apply(List.of("elastic.max_workers=" + atMost));
    // Workers share this machine's memory and cores, and are near each other.
    JobSpec job =
        OpenMesh.chosenApart(
            open,
            workers,
            () -> MemoryOption.ofThisMachine(open.resources().device(), workers),
            Runtime.getRuntime().availableProcessors(),
            console);
    int needed = Math.max(1, job.parallel().data()) * job.parallel().replicaRanks();
    if (workers < needed) {
      throw CommandException.badRequest(
          "--workers is %d, but the job's parallel.* needs %d".formatted(workers, needed));
    }
    return job;
  }

  /** Returns when the job has ended and no process of the cluster is left. */
  static JobOutcome run(JobSpec job, int workers, RunFolder folder, Console console) {
    console.talk(
        "Starting a coordinator and %d worker%s; their logs are in %s"
            .formatted(workers, workers == 1 ? "" : "s", folder.logs()));
    List<String> gpus =
        switch (job.resources().device()) {
          case CPU -> List.of();
          case CUDA -> GpuList.forWorkers(workers);
        };
    try (LocalCluster cluster = LocalCluster.start(workers, gpus, folder, console);
        CoordinatorClient client =
            new CoordinatorClient(cluster.address(), new Protection.LoopbackOnly())) {
      cluster.awaitWorkers(client);
      String id = client.submit(JobSpecWriter.toYaml(job));
      return JobFollower.follow(client, id, console, cluster::requireNodes);
    }
  }
}
