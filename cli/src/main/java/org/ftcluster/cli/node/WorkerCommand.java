package org.ftcluster.cli.node;

import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.Callable;
import org.ftcluster.cli.client.Addresses;
import org.ftcluster.cli.client.CoordinatorOption;
import org.ftcluster.cli.console.CommandException;
import org.ftcluster.cli.console.CommonOptions;
import org.ftcluster.cli.console.Console;
import org.ftcluster.cli.console.ExitCode;
import org.ftcluster.cli.console.MemoryOption;
import org.ftcluster.cli.console.ParentWatch;
import org.ftcluster.protocol.cluster.BindAddress;
import org.ftcluster.protocol.cluster.NodeHost;
import org.ftcluster.worker.rank.WorkerNode;
import org.ftcluster.worker.rank.WorkerSettings;
import org.ftcluster.worker.spot.SpotNotices;
import org.ftcluster.worker.training.Deadlines;
import org.ftcluster.worker.training.TrainingTaskFactory;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code ftcluster worker}. */
@Command(
    name = "worker",
    description = {
      "Runs a worker: one process that holds one device and takes part in jobs.",
      "Waits for its coordinator where that isn't there yet. Told to end (SIGTERM), it hands its part",
      "of a job over first."
    },
    footer = {"", "Example:", "  ftcluster worker --coordinator 10.0.0.1:7600 --insecure"})
public final class WorkerCommand implements Callable<Integer> {
  private static final String SIGNAL = "it was told to end";

  @Mixin private CommonOptions common = new CommonOptions();
  @Mixin private CoordinatorOption coordinator = new CoordinatorOption();
  @Mixin private MemoryOption memory = new MemoryOption();
  @Mixin private SpotOptions spot = new SpotOptions();
  @Mixin private ParentWatch parentWatch = new ParentWatch();

  @Option(
      names = "--host",
      paramLabel = "HOST",
      description =
          "This worker's own address, which other nodes connect to (default: the one that leads to"
              + " the coordinator).")
  private @Nullable String host;

  @Option(
      names = "--cluster-port",
      paramLabel = "PORT",
      defaultValue = "0",
      description = "Where other nodes connect to (default: any free one).")
  private int clusterPort;

  @Option(
      names = "--collective-port",
      paramLabel = "PORT",
      defaultValue = "0",
      description = "Where the other workers of a job connect to (default: any free one).")
  private int collectivePort;

  @Mixin private AdvertiseOption advertise = new AdvertiseOption();

  @Option(
      names = "--device",
      paramLabel = "DEVICE",
      defaultValue = "cpu",
      description = "What it computes on (default: cpu).")
  private String device = "cpu";

  @Option(
      names = "--grace",
      paramLabel = "SECONDS",
      defaultValue = "25",
      description = "On SIGTERM, how long handing over to other workers may take (default: 25).")
  private long graceSeconds;

  @Option(
      names = "--insecure",
      description =
          "Allow an address that other machines can reach, without encryption or passwords: whoever"
              + " reaches it can read what jobs train on, and take part in them.")
  private boolean insecure;

  @Override
  public Integer call() throws InterruptedException {
    Console console = common.console();
    parentWatch.start();
    TrainingTaskFactory tasks = new TrainingTaskFactory(Deadlines.standard(), memory.bytes());
    Addresses known = coordinator.address();
    if (host != null) {
      BindAddress.resolve(host, insecure);
    }
    CoordinatorSearch search = new CoordinatorSearch(known, console);
    // The coordinator's name may be known only once it is there, so our own address comes second.
    search.find();
    String ownHost = host == null ? search.ownHost() : host;
    WorkerSettings settings =
        new WorkerSettings(
            new NodeHost(ownHost, advertise.host(), insecure),
            clusterPort,
            collectivePort,
            search,
            device);
    try (WorkerNode node = WorkerNode.start(settings, tasks)) {
      Runtime.getRuntime()
          .addShutdownHook(
              new Thread(
                  () -> node.leaveAndWait(SIGNAL, Duration.ofSeconds(graceSeconds)), "signal"));
      console.json(ReadyLine.of("worker", known.toString()));
      console.talk("The worker is ready for jobs of %s.".formatted(known));
      Optional<SpotNotices> notices = spot.watch(node);
      Optional<String> gaveUp = node.awaitTermination();
      notices.ifPresent(SpotNotices::close);
      if (gaveUp.isPresent()) {
        throw CommandException.failed(gaveUp.get());
      }
    }
    return ExitCode.DONE.code();
  }
}
