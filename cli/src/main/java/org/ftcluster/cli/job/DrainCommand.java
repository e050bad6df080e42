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

/** {@code ftcluster drain NODE}. */
@Command(
    name = "drain",
    description = {
      "Lets a worker go: it gets no more work, hands over what it has after the step at hand, and",
      "its process ends. No step is lost or repeated."
    },
    footer = {"", "Example:", "  ftcluster drain 10.0.0.2:43211"})
public final class DrainCommand implements Callable<Integer> {
  @Mixin private CommonOptions common = new CommonOptions();
  @Mixin private CoordinatorOption coordinator = new CoordinatorOption();

  @Parameters(paramLabel = "NODE", description = "The worker, as `nodes` prints it.")
  private String node = "";

  @Override
  public Integer call() {
    Console console = common.console();
    try (CoordinatorClient client = coordinator.connect()) {
      NodesCommand.NodeLine drained = NodesCommand.NodeLine.of(client.drain(node));
      console.json(drained);
      console.text("Worker %s is %s.".formatted(drained.node(), drained.state()));
      return ExitCode.DONE.code();
    }
  }
}
