package org.ftcluster.cli.node;

import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.regex.Pattern;
import org.ftcluster.cli.client.Addresses;
import org.ftcluster.cli.client.CoordinatorOption;
import org.ftcluster.cli.console.CommandException;
import org.ftcluster.cli.console.CommonOptions;
import org.ftcluster.cli.console.Console;
import org.ftcluster.cli.console.ExitCode;
import org.ftcluster.cli.console.MemoryOption;
import org.ftcluster.cli.console.ParentWatch;
import org.ftcluster.cli.jvm.Launch;
import org.ftcluster.protocol.cluster.BindAddress;
import org.ftcluster.protocol.cluster.NodeHost;
import org.ftcluster.protocol.message.WorkerDescription;
import org.ftcluster.protocol.security.Protection;
import org.ftcluster.worker.rank.WorkerNode;
import org.ftcluster.worker.rank.WorkerSettings;
import org.ftcluster.worker.spot.SpotNotices;
import org.ftcluster.worker.training.Deadlines;
import org.ftcluster.worker.training.TrainingTaskFactory;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** {@code ftcluster worker}. */
@Command(
    name = "worker",
    description = {
      "Runs a worker: one process that holds one device and takes part in jobs. Waits for its"
          + " coordinator where that isn't there yet. Told to end (SIGTERM), it hands its part of a"
          + " job over first.",
      "With --gpus it starts and minds one such process for each GPU: one that is lost is started"
          + " again, one that was drained isn't, and told to end, all of them hand over. Then the"
          + " exit code is 0 where all workers left by themselves, 143 after SIGTERM, and 1 where"
          + " one had to be killed."
    },
    footer = {
      "",
      "Example:",
      "  ftcluster worker --coordinator 10.0.0.1:7600 --tls ftcluster-keys",
      "  ftcluster worker --coordinator 10.0.0.1:7600 --tls ftcluster-keys --gpus all"
    })
public final class WorkerCommand implements Callable<Integer> {
  static final String DEVICE = "--device";
  private static final Pattern KNOWN_DEVICE =
      Pattern.compile(WorkerDescription.CPU + "|" + Pattern.quote(GpuList.device("")) + ".+");
  private static final String CLUSTER_PORT = "--cluster-port";
  private static final String COLLECTIVE_PORT = "--collective-port";

  /** What each of several workers is given anew, or by the process that minds it. */
  private static final Set<String> NOT_PASSED_ON =
      Set.of(
          GpuList.OPTION,
          CLUSTER_PORT,
          COLLECTIVE_PORT,
          MemoryOption.OPTION,
          CommonOptions.JSON,
          ParentWatch.OPTION);

  private static final String SIGNAL = "it was told to end";

  /** From the end of a worker's work to that of its process. */
  private static final Duration END = Duration.ofSeconds(5);

  @Spec private CommandSpec command;
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
      names = CLUSTER_PORT,
      paramLabel = "PORT",
      defaultValue = "0",
      description =
          "Where other nodes connect to (default: any free one). With --gpus the first worker's;"
              + " each next one has the port after it.")
  private int clusterPort;

  @Option(
      names = COLLECTIVE_PORT,
      paramLabel = "PORT",
      defaultValue = "0",
      description =
          "Where the other workers of a job connect to (default: any free one). With --gpus as"
              + " above.")
  private int collectivePort;

  @Mixin private AdvertiseOption advertise = new AdvertiseOption();

  @Option(
      names = GpuList.OPTION,
      paramLabel = "LIST",
      description =
          "Start a worker for each of these GPUs: all, or numbers such as 0,2, counted among those of"
              + " CUDA_VISIBLE_DEVICES where that is set. Without --memory each takes an equal share"
              + " of this machine's.")
  private @Nullable String gpus;

  @Option(
      names = DEVICE,
      paramLabel = "DEVICE",
      description =
          "What it says that it computes on: cpu, or cuda:0 and the like, without which it gets no job"
              + " whose resources.device is cuda (default: cpu; set by --gpus).")
  private @Nullable String device;

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

  @Option(
      names = "--nccl-in-plain",
      description =
          "With --tls: let GPUs of several machines exchange what they compute by NCCL, which doesn't"
              + " encrypt. Without it gradients go over TLS by way of the hosts, and a model whose"
              + " parts are on several machines is refused.")
  private boolean ncclInPlain;

  @Override
  public Integer call() throws InterruptedException {
    Console console = common.console();
    parentWatch.start();
    if (gpus == null) {
      work(device == null ? WorkerDescription.CPU : requireKnown(device), console);
    } else {
      mindWorkers(gpus, console);
    }
    return ExitCode.DONE.code();
  }

  private void mindWorkers(String wanted, Console console) throws InterruptedException {
    List<Launch> workers = workersOn(wanted, console).launches();
    Duration patience = WorkerNode.longestFarewell(grace()).plus(END);
    try (WorkerMinder minder = new WorkerMinder(console, patience)) {
      Runtime.getRuntime().addShutdownHook(new Thread(() -> endOnSignal(minder), "signal"));
      minder.mind(workers);
    }
  }

  /** The exit code tells of a signal, unless it has something worse to tell. */
  private static void endOnSignal(WorkerMinder minder) {
    if (!minder.end()) {
      Runtime.getRuntime().halt(ExitCode.FAILED.code());
    }
  }

  private GpuWorkers workersOn(String wanted, Console console) {
    if (device != null) {
      throw CommandException.badRequest(
          "%s says what each worker computes on; leave %s out".formatted(GpuList.OPTION, DEVICE));
    }
    GpuInventory inventory = GpuInventory.ofThisMachine();
    List<String> chosen = GpuList.parse(wanted, System.getenv(GpuList.VISIBLE), inventory);
    PortRange clusterPorts = new PortRange(CLUSTER_PORT, clusterPort, chosen.size());
    PortRange collectivePorts = new PortRange(COLLECTIVE_PORT, collectivePort, chosen.size());
    clusterPorts.requireApartFrom(collectivePorts);
    List<String> options = GivenOptions.of(command.commandLine().getParseResult(), NOT_PASSED_ON);
    GpuWorkers workers =
        new GpuWorkers(chosen, options, clusterPorts, collectivePorts, memory.bytes(chosen.size()));
    if (inventory.count() == 0) {
      console.talk("No GPU can be used now, only CPUs: %s.".formatted(inventory.problem()));
    }
    console.talk("Starting one worker each on GPU %s.".formatted(String.join(", ", chosen)));
    return workers;
  }

  private static String requireKnown(String device) {
    if (!KNOWN_DEVICE.matcher(device).matches()) {
      throw CommandException.badRequest(
          "%s is '%s'; give cpu, or a GPU such as cuda:0".formatted(DEVICE, device));
    }
    return device;
  }

  private Duration grace() {
    return Duration.ofSeconds(graceSeconds);
  }

  /** Returns when it has left. */
  private void work(String device, Console console) throws InterruptedException {
    Protection protection = coordinator.tls().ofNode(insecure);
    TrainingTaskFactory tasks =
        new TrainingTaskFactory(Deadlines.standard(), memory.bytes(), ncclInPlain);
    Addresses known = coordinator.address();
    if (host != null) {
      BindAddress.resolve(host, protection);
    }
    CoordinatorSearch search = new CoordinatorSearch(known, protection, console);
    // The coordinator's name may be known only once it is there, so our own address comes second.
    search.find();
    String ownHost = host == null ? search.ownHost() : host;
    WorkerSettings settings =
        new WorkerSettings(
            new NodeHost(ownHost, advertise.host(), protection),
            clusterPort,
            collectivePort,
            search,
            device);
    try (WorkerNode node = WorkerNode.start(settings, tasks)) {
      Runtime.getRuntime()
          .addShutdownHook(new Thread(() -> node.leaveAndWait(SIGNAL, grace()), "signal"));
      console.json(ReadyLine.worker(known.toString(), device));
      console.talk("The worker on %s is ready for jobs of %s.".formatted(device, known));
      Optional<SpotNotices> notices = spot.watch(node);
      Optional<String> gaveUp = node.awaitTermination();
      notices.ifPresent(SpotNotices::close);
      if (gaveUp.isPresent()) {
        throw CommandException.failed(gaveUp.get());
      }
    }
  }
}
