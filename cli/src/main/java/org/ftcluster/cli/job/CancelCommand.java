package org.ftcluster.cli.job;

import java.util.concurrent.Callable;
import org.ftcluster.cli.client.CoordinatorClient;
import org.ftcluster.cli.client.CoordinatorOption;
import org.ftcluster.cli.console.CommonOptions;
import org.ftcluster.cli.console.Console;
import org.ftcluster.cli.console.ExitCode;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

/** {@code ftcluster cancel JOB}. */
@Command(
    name = "cancel",
    description = "Ends a job. Its checkpoints stay.",
    footer = {"", "Example:", "  ftcluster cancel decompile-k3m7xq"})
public final class CancelCommand implements Callable<Integer> {
  @Mixin private CommonOptions common = new CommonOptions();
  @Mixin private CoordinatorOption coordinator = new CoordinatorOption();

  @Parameters(paramLabel = "JOB", description = "The job's id, as `submit` and `jobs` print it.")
  private String job = "";

  @Override
  public Integer call() {
    Console console = common.console();
    try (CoordinatorClient client = coordinator.connect()) {
      JobLine ended = JobLine.of(client.cancel(job));
      console.json(ended);
      console.text("Job %s is %s.".formatted(ended.job(), ended.state()));
      return ExitCode.DONE.code();
    }
  }
}
