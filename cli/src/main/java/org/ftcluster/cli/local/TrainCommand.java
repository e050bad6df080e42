package org.ftcluster.cli.local;

import java.util.concurrent.Callable;
import org.ftcluster.cli.console.CommonOptions;
import org.ftcluster.cli.console.Console;
import org.ftcluster.cli.job.JobFileArguments;
import org.ftcluster.cli.progress.JobOutcome;
import org.ftcluster.protocol.job.JobSpec;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code ftcluster train JOB.yaml}. */
@Command(
    name = "train",
    description = {
      "Runs one job on a private cluster on this machine: a coordinator and N workers, gone at the"
          + " end.",
      "Nodes leave their logs in logs/ of the job's checkpoint folder."
    },
    footer = {"", "Example:", "  ftcluster train job.yaml --workers 2 --set training.max_steps=20"})
public final class TrainCommand implements Callable<Integer> {
  @Mixin private CommonOptions common = new CommonOptions();
  @Mixin private JobFileArguments jobFile = new JobFileArguments();

  @Option(
      names = "--workers",
      paramLabel = "N",
      defaultValue = "1",
      description =
          "Worker processes (default: 1). A job uses no more than a step has micro-batches.")
  private int workers;

  @Override
  public Integer call() {
    Console console = common.console();
    JobSpec job = LocalRun.forWorkers(workers, jobFile::read, console);
    try (RunFolder folder = RunFolder.claim(job.checkpoint().path())) {
      JobOutcome outcome = LocalRun.run(job, workers, folder, console);
      outcome.print(console);
      return outcome.exitCode().code();
    }
  }
}
