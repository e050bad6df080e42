package org.ftcluster.cli.node;

import picocli.CommandLine.Option;

/** Where a node is reached that others don't reach where it listens. */
final class AdvertiseOption {
  @Option(
      names = "--advertise",
      paramLabel = "HOST",
      defaultValue = "",
      description =
          "What other nodes connect to, on the same ports, where address translation lies between"
              + " (default: where this node listens).")
  private String host = "";

  /** Empty where it listens. */
  String host() {
    return host;
  }
}
