package org.ftcluster.cli.job;

import org.ftcluster.cli.console.CommandException;
import org.ftcluster.worker.parallel.Machine;
import picocli.CommandLine.Option;

/** What workers compute and send with, as far as predictions ask. */
final class MachineOptions {
  @Option(
      names = "--gflops",
      paramLabel = "N",
      description = "What a worker computes, see `bench --ceilings` (default: 150).")
  private double gflops = Machine.CPU.flops() / 1e9;

  @Option(
      names = "--link",
      paramLabel = "GB/S",
      description = "What workers send each other, see `bench --collectives` (default: 1).")
  private double link = Machine.CPU.near().bytes() / 1e9;

  @Option(
      names = "--workers-per-node",
      paramLabel = "N",
      description = "Between which --link counts; others use --far-link (default: all).")
  private int workersPerNode;

  @Option(
      names = "--far-link",
      paramLabel = "GB/S",
      description = "What workers of different nodes send each other (default: as --link).")
  private double farLink;

  /**
   * Workers like these.
   *
   * @param workers that there are
   */
  Machine machine(int workers) {
    if (!(gflops > 0 && link > 0 && farLink >= 0 && workersPerNode >= 0)) {
      throw CommandException.badRequest(
          "--gflops, --link, --far-link and --workers-per-node are above 0");
    }
    return new Machine(
        gflops * 1e9,
        Machine.CPU.memoryBytes(),
        new Machine.Link(link * 1e9, Machine.CPU.near().latency()),
        new Machine.Link((farLink > 0 ? farLink : link) * 1e9, Machine.CPU.far().latency()),
        workersPerNode > 0 ? workersPerNode : workers);
  }

  double gflops() {
    return gflops;
  }

  double link() {
    return link;
  }
}
