package org.ftcluster.cli.node;

import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.Callable;
import org.ftcluster.cli.client.Address;
import org.ftcluster.cli.client.CoordinatorOption;
import org.ftcluster.cli.client.TlsOption;
import org.ftcluster.cli.console.CommandException;
import org.ftcluster.cli.console.CommonOptions;
import org.ftcluster.cli.console.Console;
import org.ftcluster.cli.console.ExitCode;
import org.ftcluster.cli.console.ParentWatch;
import org.ftcluster.coordinator.CoordinatorNode;
import org.ftcluster.coordinator.CoordinatorSettings;
import org.ftcluster.protocol.cluster.NodeHost;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code ftcluster coordinator}. */
@Command(
    name = "coordinator",
    description = {
      "Runs a coordinator: takes jobs, finds workers, and brings jobs to their end.",
      "Several with the same --database are one cluster: one of them acts, and when its process or",
      "machine is gone, another does."
    },
    footer = {
      "",
      "Example:",
      "  ftcluster coordinator --grpc 10.0.0.1:7600 --tls ftcluster-keys",
      "  ftcluster coordinator --grpc 10.0.0.1:7600 --tls ftcluster-keys --database jdbc:postgresql://db/ftcluster"
    })
public final class CoordinatorCommand implements Callable<Integer> {
  private static final String CLUSTER_PORT = "7601";
  private static final String DATA = "ftcluster-data";

  @Mixin private CommonOptions common = new CommonOptions();
  @Mixin private ParentWatch parentWatch = new ParentWatch();

  @Option(
      names = "--grpc",
      paramLabel = "HOST:PORT",
      converter = Address.Converter.class,
      defaultValue = CoordinatorOption.DEFAULT,
      description =
          "Where clients and workers find it (default: "
              + CoordinatorOption.DEFAULT
              + "). Port 0 takes any free one.")
  private Address grpc = Address.parse(CoordinatorOption.DEFAULT);

  @Option(
      names = "--cluster-port",
      paramLabel = "PORT",
      defaultValue = CLUSTER_PORT,
      description =
          "Where other nodes join, on the same host (default: "
              + CLUSTER_PORT
              + "). 0 takes any free one.")
  private int clusterPort;

  @Mixin private AdvertiseOption advertise = new AdvertiseOption();

  @Option(
      names = "--data-dir",
      paramLabel = "FOLDER",
      defaultValue = DATA,
      description =
          "Where jobs are kept, so that they outlive a restart (default: ./"
              + DATA
              + "). Not used with --database.")
  private Path dataDir = Path.of(DATA);

  @Mixin private DatabaseOptions database = new DatabaseOptions();

  @Mixin private TlsOption tls = new TlsOption();

  @Option(
      names = "--insecure",
      description =
          "Allow an address that other machines can reach, without encryption or passwords: whoever"
              + " reaches it can run jobs and read what they train on.")
  private boolean insecure;

  @Override
  public Integer call() throws InterruptedException {
    Console console = common.console();
    parentWatch.start();
    CoordinatorSettings settings =
        new CoordinatorSettings(
            new NodeHost(grpc.host(), advertise.host(), tls.ofNode(insecure)),
            grpc.port(),
            clusterPort,
            database.journalOr(dataDir.toAbsolutePath()));
    try (CoordinatorNode node = CoordinatorNode.start(settings)) {
      Address listening = new Address(grpc.host(), node.grpcPort());
      console.json(ReadyLine.coordinator(listening.toString()));
      console.talk("The coordinator is ready at %s.".formatted(listening));
      Optional<String> ended = node.awaitTermination();
      if (ended.isPresent()) {
        throw CommandException.failed(ended.get());
      }
    }
    return ExitCode.DONE.code();
  }
}
