package org.ftcluster.cli.job;

import java.util.List;
import java.util.concurrent.Callable;
import org.ftcluster.cli.client.CoordinatorClient;
import org.ftcluster.cli.client.CoordinatorOption;
import org.ftcluster.cli.console.CommonOptions;
import org.ftcluster.cli.console.Console;
import org.ftcluster.cli.console.ExitCode;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

/** {@code ftcluster jobs}. */
@Command(
    name = "jobs",
    description = "Lists the jobs of a cluster.",
    footer = {"", "Example:", "  ftcluster jobs --coordinator 10.0.0.1:7600"})
public final class JobsCommand implements Callable<Integer> {
  @Mixin private CommonOptions common = new CommonOptions();
  @Mixin private CoordinatorOption coordinator = new CoordinatorOption();

  @Override
  public Integer call() {
    Console console = common.console();
    try (CoordinatorClient client = coordinator.connect()) {
      List<JobLine> jobs = client.jobs().stream().map(JobLine::of).toList();
      jobs.forEach(console::json);
      console.text(
          jobs.isEmpty()
              ? "No jobs."
              : Table.format(JobLine.HEADING, jobs.stream().map(JobLine::cells).toList()));
      return ExitCode.DONE.code();
    }
  }
}
