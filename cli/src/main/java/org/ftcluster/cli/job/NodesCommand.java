package org.ftcluster.cli.job;

import java.util.List;
import java.util.concurrent.Callable;
import org.ftcluster.cli.client.CoordinatorClient;
import org.ftcluster.cli.client.CoordinatorOption;
import org.ftcluster.cli.console.CommonOptions;
import org.ftcluster.cli.console.Console;
import org.ftcluster.cli.console.ExitCode;
import org.ftcluster.protocol.api.NodeInfo;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

/** {@code ftcluster nodes}. */
@Command(
    name = "nodes",
    description = "Lists the nodes of a cluster, and what each of them does.",
    footer = {"", "Example:", "  ftcluster nodes --coordinator 10.0.0.1:7600"})
public final class NodesCommand implements Callable<Integer> {
  private static final List<String> HEADING =
      List.of(
          "NODE",
          "ROLE",
          "HOST",
          "PID",
          "DEVICE",
          "STATE",
          "JOB",
          "RANK",
          "GENERATION",
          "SLOWNESS");

  @Mixin private CommonOptions common = new CommonOptions();
  @Mixin private CoordinatorOption coordinator = new CoordinatorOption();

  /**
   * @param job empty where the node runs none
   * @param rank -1 where the node runs none
   * @param slowness time that its rank takes for a token, compared with the job's others; null
   *     where that isn't known
   */
  record NodeLine(
      String node,
      String role,
      String host,
      long pid,
      String device,
      String state,
      String job,
      int rank,
      long generation,
      @Nullable Double slowness) {
    static NodeLine of(NodeInfo node) {
      return new NodeLine(
          node.getNode(),
          node.getRole(),
          node.getHost(),
          node.getPid(),
          node.getDevice(),
          node.getState(),
          node.getJob(),
          node.getRank(),
          node.getGeneration(),
          node.getSlowness() > 0 ? Math.rint(node.getSlowness() * 100) / 100 : null);
    }

    List<String> cells() {
      boolean busy = rank >= 0;
      return List.of(
          node,
          role,
          host,
          String.valueOf(pid),
          device,
          state,
          job.isEmpty() ? "-" : job,
          busy ? String.valueOf(rank) : "-",
          busy ? String.valueOf(generation) : "-",
          slowness == null ? "-" : slowness + "x");
    }
  }

  @Override
  public Integer call() {
    Console console = common.console();
    try (CoordinatorClient client = coordinator.connect()) {
      List<NodeLine> nodes = client.nodes().stream().map(NodeLine::of).toList();
      nodes.forEach(console::json);
      console.text(Table.format(HEADING, nodes.stream().map(NodeLine::cells).toList()));
      return ExitCode.DONE.code();
    }
  }
}
