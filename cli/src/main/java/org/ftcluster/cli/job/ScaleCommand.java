package org.ftcluster.cli.job;

import java.util.concurrent.Callable;
import org.ftcluster.cli.client.CoordinatorClient;
import org.ftcluster.cli.client.CoordinatorOption;
import org.ftcluster.cli.console.CommonOptions;
import org.ftcluster.cli.console.Console;
import org.ftcluster.cli.console.ExitCode;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code ftcluster scale JOB --workers N}. */
@Command(
    name = "scale",
    description = {
      "Says how many workers a job is to have. It changes after the step at hand, and no step is",
      "lost or repeated; workers that are missing join when there are some."
    },
    footer = {"", "Example:", "  ftcluster scale decompile-k3m7xq --workers 2"})
public final class ScaleCommand implements Callable<Integer> {
  @Mixin private CommonOptions common = new CommonOptions();
  @Mixin private CoordinatorOption coordinator = new CoordinatorOption();

  @Parameters(paramLabel = "JOB", description = "The job's id, as `submit` and `jobs` print it.")
  private String job = "";

  @Option(
      names = "--workers",
      paramLabel = "N",
      required = true,
      description = "At most so many, from elastic.min_workers to elastic.max_workers of the job.")
  private int workers;

  @Override
  public Integer call() {
    Console console = common.console();
    try (CoordinatorClient client = coordinator.connect()) {
      JobLine scaled = JobLine.of(client.scale(job, workers));
      console.json(scaled);
      console.text(
          "Job %s is to have %d workers; it has %d."
              .formatted(scaled.job(), scaled.maxWorkers(), scaled.workers()));
      return ExitCode.DONE.code();
    }
  }
}
