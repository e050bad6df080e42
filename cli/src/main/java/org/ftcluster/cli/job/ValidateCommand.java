package org.ftcluster.cli.job;

import java.util.concurrent.Callable;
import org.ftcluster.cli.console.CommonOptions;
import org.ftcluster.cli.console.Console;
import org.ftcluster.cli.console.ExitCode;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.job.JobSpecWriter;
import org.ftcluster.worker.training.TrainingTaskFactory;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

/** {@code ftcluster validate JOB.yaml}. */
@Command(
    name = "validate",
    description = {
      "Checks a job file, and loads model, adapter and data as a worker would, without training.",
      "What is wrong is said with file, line and key, and what would be right."
    },
    footer = {"", "Example:", "  ftcluster validate job.yaml --set training.seed=7"})
public final class ValidateCommand implements Callable<Integer> {
  @Mixin private CommonOptions common = new CommonOptions();
  @Mixin private JobFileArguments jobFile = new JobFileArguments();

  /**
   * What it prints.
   *
   * @param steps optimizer steps that the job will take
   */
  record Valid(boolean valid, String name, long steps) {}

  @Override
  public Integer call() {
    Console console = common.console();
    JobSpec job = OpenMesh.chosen(jobFile.read(), console);
    long steps = new TrainingTaskFactory().check(JobSpecWriter.toYaml(job));
    console.json(new Valid(true, job.name(), steps));
    console.text("Job %s is valid: %d steps.".formatted(job.name(), steps));
    return ExitCode.DONE.code();
  }
}
