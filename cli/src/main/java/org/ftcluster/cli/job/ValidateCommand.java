package org.ftcluster.cli.job;

import java.util.concurrent.Callable;
import org.ftcluster.cli.console.CommonOptions;
import org.ftcluster.cli.console.Console;
import org.ftcluster.cli.console.ExitCode;
import org.ftcluster.protocol.job.JobSpec;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

/** {@code ftcluster validate JOB.yaml}. */
@Command(
    name = "validate",
    description = "Checks a job file and the files it names, without running anything.",
    footer = {"", "Example:", "  ftcluster validate job.yaml --set training.seed=7"})
public final class ValidateCommand implements Callable<Integer> {
  @Mixin private CommonOptions common = new CommonOptions();
  @Mixin private JobFileArguments jobFile = new JobFileArguments();

  record Valid(boolean valid, String name) {}

  @Override
  public Integer call() {
    Console console = common.console();
    JobSpec job = jobFile.read();
    console.json(new Valid(true, job.name()));
    console.text("Job %s is valid.".formatted(job.name()));
    return ExitCode.DONE.code();
  }
}
