package org.ftcluster.cli.job;

import java.util.concurrent.Callable;
import org.ftcluster.cli.client.CoordinatorClient;
import org.ftcluster.cli.client.CoordinatorOption;
import org.ftcluster.cli.console.CommonOptions;
import org.ftcluster.cli.console.Console;
import org.ftcluster.cli.console.ExitCode;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.job.JobSpecWriter;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

/** {@code ftcluster submit JOB.yaml}. */
@Command(
    name = "submit",
    description =
        "Hands a job to a cluster, and prints its id. It is durable once the id is there.",
    footer = {"", "Example:", "  ftcluster submit job.yaml --set training.learning_rate=1e-3"})
public final class SubmitCommand implements Callable<Integer> {
  @Mixin private CommonOptions common = new CommonOptions();
  @Mixin private CoordinatorOption coordinator = new CoordinatorOption();
  @Mixin private JobFileArguments jobFile = new JobFileArguments();

  record Submitted(String job, String name) {}

  @Override
  public Integer call() {
    Console console = common.console();
    JobSpec spec = OpenMesh.chosenApart(jobFile.read(), console);
    try (CoordinatorClient client = coordinator.connect()) {
      String job = client.submit(JobSpecWriter.toYaml(spec));
      console.json(new Submitted(job, spec.name()));
      console.text(job);
      console.talk(
          "Job %s is submitted; `ftcluster watch %s` follows it.".formatted(spec.name(), job));
      return ExitCode.DONE.code();
    }
  }
}
