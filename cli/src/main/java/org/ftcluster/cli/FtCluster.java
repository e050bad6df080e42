package org.ftcluster.cli;

import org.ftcluster.cli.chaos.ChaosCommand;
import org.ftcluster.cli.console.CommonOptions;
import org.ftcluster.cli.job.CancelCommand;
import org.ftcluster.cli.job.DrainCommand;
import org.ftcluster.cli.job.JobsCommand;
import org.ftcluster.cli.job.MeshCommand;
import org.ftcluster.cli.job.NodesCommand;
import org.ftcluster.cli.job.PlanCommand;
import org.ftcluster.cli.job.ScaleCommand;
import org.ftcluster.cli.job.SubmitCommand;
import org.ftcluster.cli.job.ValidateCommand;
import org.ftcluster.cli.job.WatchCommand;
import org.ftcluster.cli.local.DemoCommand;
import org.ftcluster.cli.local.TrainCommand;
import org.ftcluster.cli.model.BenchCommand;
import org.ftcluster.cli.model.EvalCommand;
import org.ftcluster.cli.model.GenerateCommand;
import org.ftcluster.cli.model.MergeCommand;
import org.ftcluster.cli.node.CoordinatorCommand;
import org.ftcluster.cli.node.KeysCommand;
import org.ftcluster.cli.node.WorkerCommand;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** The command above all commands. */
@Command(
    name = "ftcluster",
    description = "Fine-tunes large language models on clusters whose machines come and go.",
    synopsisSubcommandLabel = "COMMAND",
    versionProvider = Version.class,
    subcommands = {
      DemoCommand.class,
      TrainCommand.class,
      KeysCommand.class,
      CoordinatorCommand.class,
      WorkerCommand.class,
      SubmitCommand.class,
      JobsCommand.class,
      WatchCommand.class,
      ScaleCommand.class,
      CancelCommand.class,
      NodesCommand.class,
      DrainCommand.class,
      ValidateCommand.class,
      PlanCommand.class,
      MeshCommand.class,
      EvalCommand.class,
      GenerateCommand.class,
      MergeCommand.class,
      BenchCommand.class,
      ChaosCommand.class,
    },
    footer = {
      "",
      "Exit codes: 0 done, 1 the job or check failed, 2 the request is wrong,",
      "3 the cluster can't be reached.",
      "",
      "Example:",
      "  ftcluster demo"
    })
final class FtCluster implements Runnable {
  @Mixin CommonOptions common = new CommonOptions();
  @Spec CommandSpec spec;

  @picocli.CommandLine.Option(
      names = {"-V", "--version"},
      versionHelp = true,
      description = "Print the version and exit.")
  boolean version;

  @Override
  public void run() {
    throw new ParameterException(spec.commandLine(), "a command is missing");
  }
}
