package org.ftcluster.cli.job;

import java.util.concurrent.Callable;
import org.ftcluster.cli.client.CoordinatorClient;
import org.ftcluster.cli.client.CoordinatorOption;
import org.ftcluster.cli.console.CommonOptions;
import org.ftcluster.cli.console.Console;
import org.ftcluster.cli.progress.JobFollower;
import org.ftcluster.cli.progress.JobOutcome;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

/** {@code ftcluster watch JOB}. */
@Command(
    name = "watch",
    description = "Follows a job until it has ended. Exits with 0 when it succeeded, else with 1.",
    footer = {"", "Example:", "  ftcluster watch decompile-k3m7xq"})
public final class WatchCommand implements Callable<Integer> {
  @Mixin private CommonOptions common = new CommonOptions();
  @Mixin private CoordinatorOption coordinator = new CoordinatorOption();

  @Parameters(paramLabel = "JOB", description = "The job's id, as `submit` and `jobs` print it.")
  private String job = "";

  @Override
  public Integer call() {
    Console console = common.console();
    try (CoordinatorClient client = coordinator.connect()) {
      JobOutcome outcome = JobFollower.follow(client, job, console, () -> {});
      outcome.print(console);
      return outcome.exitCode().code();
    }
  }
}
