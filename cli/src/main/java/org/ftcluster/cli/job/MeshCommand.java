package org.ftcluster.cli.job;

import java.util.concurrent.Callable;
import org.ftcluster.cli.console.CommonOptions;
import org.ftcluster.cli.console.Console;
import org.ftcluster.cli.console.ExitCode;
import org.ftcluster.cli.console.MemoryOption;
import org.ftcluster.cli.console.ParentWatch;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.job.JobSpecWriter;
import org.ftcluster.worker.parallel.Machine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code ftcluster mesh JOB.yaml}, of which other commands make use: see {@link OpenMesh}. */
@Command(
    name = "mesh",
    description = {
      "Prints a job with the layout that is chosen where its `parallel` is auto: of those that",
      "fit into workers' memory the one whose predicted step is shortest."
    },
    footer = {"", "Example:", "  ftcluster mesh job.yaml --workers 16 --memory 80 > chosen.yaml"})
public final class MeshCommand implements Callable<Integer> {
  @Mixin private CommonOptions common = new CommonOptions();
  @Mixin private JobFileArguments jobFile = new JobFileArguments();
  @Mixin private MemoryOption memory = new MemoryOption();
  @Mixin private MachineOptions machines = new MachineOptions();
  @Mixin private ParentWatch parentWatch = new ParentWatch();

  @Option(
      names = "--workers",
      paramLabel = "N",
      description = "Workers that there are (default: elastic.max_workers).")
  private int workers;

  @Option(
      names = "--cores",
      paramLabel = "N",
      description = "Cores that all workers share (default: each has its own).")
  private int cores;

  /**
   * What it prints.
   *
   * @param yaml of the whole job
   */
  record Chosen(String yaml) {}

  @Override
  public Integer call() {
    parentWatch.start();
    Console console = common.console();
    JobSpec job = jobFile.read();
    int most = workers > 0 ? workers : job.elastic().maxWorkers();
    Machine each = machines.machine(most);
    Machine machine = cores > 0 ? each.sharing(cores, most, job.resources().threads()) : each;
    long bytes = memory.bytes(job.resources().device());
    JobSpec chosen = OpenMesh.chosen(job, most, () -> bytes, machine, console);
    String yaml = JobSpecWriter.toYaml(chosen);
    console.json(new Chosen(yaml));
    console.text(yaml);
    return ExitCode.DONE.code();
  }
}
