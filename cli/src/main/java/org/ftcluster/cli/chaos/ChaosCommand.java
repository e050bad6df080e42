package org.ftcluster.cli.chaos;

import java.nio.file.Path;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Callable;
import org.ftcluster.cli.client.TlsOption;
import org.ftcluster.cli.console.CommandException;
import org.ftcluster.cli.console.CommonOptions;
import org.ftcluster.cli.console.Console;
import org.ftcluster.cli.console.ExitCode;
import org.ftcluster.cli.console.ParentWatch;
import org.ftcluster.cli.job.JobFileArguments;
import org.ftcluster.cli.local.RunFolder;
import org.ftcluster.coordinator.job.WorkerDemand;
import org.ftcluster.protocol.job.JobSpec;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** {@code ftcluster chaos JOB.yaml}. */
@Command(
    name = "chaos",
    description = {
      "Runs a job on a private cluster once undisturbed, then again and again under faults that",
      "follow from a seed, and checks that it ends the same: same adapter, same samples, every step",
      "once, no process left. Says how long it took to recover.",
      "Everything lies in chaos/ of the job's checkpoint folder, logs included."
    },
    footer = {
      "",
      "Example:",
      "  ftcluster chaos job.yaml --workers 4 --minutes 5 --seed 7 --faults kill,pause,drain"
    })
public final class ChaosCommand implements Callable<Integer> {
  private static final long SEEDS = 1_000_000;

  @Mixin private CommonOptions common = new CommonOptions();
  @Mixin private JobFileArguments jobFile = new JobFileArguments();
  @Mixin private TlsOption tls = new TlsOption();
  @Mixin private ParentWatch parentWatch = new ParentWatch();

  @Spec private CommandSpec command = CommandSpec.create();

  @Option(
      names = "--workers",
      paramLabel = "N",
      defaultValue = "4",
      description = "Workers to begin with (default: 4).")
  private int workers;

  @Option(
      names = "--minutes",
      paramLabel = "M",
      defaultValue = "5",
      description =
          "No more faults after so many minutes; the job is repeated until then (default: 5).")
  private double minutes;

  @Option(
      names = "--count",
      paramLabel = "N",
      defaultValue = "0",
      description = "So many faults, however long they take, instead of --minutes.")
  private int count;

  @Option(
      names = "--seed",
      paramLabel = "S",
      description = "What the schedule follows from (default: a new one, which is printed).")
  private @Nullable Long seed;

  @Option(
      names = "--faults",
      paramLabel = "KINDS",
      description = {
        "Any of kill, pause, partition, join, drain, slow, coordinator, disk-full, with commas; one"
            + " that is named twice comes twice as often (default: all that this machine can do).",
        "Where network and mount namespaces aren't permitted, partitions are made by relays between"
            + " the nodes, and a full disk by a limit on the workers' processes."
      })
  private @Nullable String faults;

  @Option(
      names = "--every",
      paramLabel = "SECONDS",
      defaultValue = "3",
      description =
          "Time from when the cluster has got over a fault to the next one, on average (default:"
              + " 3).")
  private double every;

  @Option(
      names = "--reference",
      paramLabel = "FOLDER",
      description = "Results of an undisturbed run of the same job, instead of making one.")
  private @Nullable Path reference;

  @Option(names = "--plan", description = "Print the schedule (--count faults, or 20), and stop.")
  private boolean plan;

  @Option(
      names = "--relays",
      description = "Use relays and limits also where this machine permits namespaces.")
  private boolean relays;

  @Option(names = Enclosure.OPTION, hidden = true, description = "Networks and mounts are ours.")
  private boolean enclosed;

  /**
   * A line of {@code --plan}.
   *
   * @param early whether it strikes while the cluster may be busy with the fault before
   */
  record PlanLine(int number, double afterSeconds, boolean early, String fault, String what) {}

  @Override
  public Integer call() {
    parentWatch.start();
    Console console = common.console();
    JobSpec job = job(Path.of("chaos"));
    Path given = reference;
    checkArguments(job);
    if (given != null) {
      SameJob.require(job, given);
    }
    List<FaultKind> kinds = kinds();
    Optional<Enclosure> enclosure =
        enclosed || plan || relays || kinds.stream().noneMatch(Enclosure::isWantedFor)
            ? Optional.empty()
            : Enclosure.find();
    if (enclosure.isPresent()) {
      return enclosure.get().run(command.root().commandLine().getParseResult().originalArgs());
    }
    GameDay.Settings settings =
        new GameDay.Settings(
            this::job,
            workers,
            minutes,
            count,
            seed == null ? new SecureRandom().nextLong(SEEDS) : seed,
            enclosed || plan ? kinds : possible(kinds, console),
            every,
            enclosed,
            tls,
            given == null ? null : given.toAbsolutePath().normalize());
    return plan ? printPlan(settings, console) : play(settings, console);
  }

  private int play(GameDay.Settings settings, Console console) {
    Path place = jobFile.read().checkpoint().path().resolve("chaos");
    console.talk(
        "%d workers, seed %d, faults %s; logs are in %s"
            .formatted(workers, settings.seed(), FaultKind.words(settings.kinds()), place));
    Report report = new Report(console, settings.seed());
    try (RunFolder folder = RunFolder.claim(place)) {
      new GameDay(settings, folder, report).play();
    }
    return report.verdict().code();
  }

  private int printPlan(GameDay.Settings settings, Console console) {
    console.talk("Seed %d.".formatted(settings.seed()));
    Schedule schedule = settings.schedule();
    for (int i = 0; i < (count > 0 ? count : 20); i++) {
      Schedule.Planned planned = schedule.next();
      console.json(
          new PlanLine(
              planned.number(),
              planned.waitMs() / 1000.0,
              planned.hasty(),
              planned.fault().kind().word(),
              planned.fault().text()));
      console.text(planned.text());
    }
    return ExitCode.DONE.code();
  }

  /** The job with its results in {@code place}, room for one worker more, and a list of samples. */
  private JobSpec job(Path place) {
    int atMost = Math.max(workers + 1, jobFile.read().elastic().maxWorkers());
    return jobFile.read(
        List.of("elastic.max_workers=" + atMost),
        List.of("checkpoint.path=" + place.toAbsolutePath(), "training.log_samples=true"));
  }

  private void checkArguments(JobSpec job) {
    List<String> wrong = new ArrayList<>();
    if (job.parallel().isOpen()) {
      wrong.add(
          "parallel: auto leaves the layout open; name the one that `ftcluster plan` prints, for instance with --set parallel.tensor=2");
    } else if (workers < WorkerDemand.of(job).min()) {
      int fewest = WorkerDemand.of(job).min();
      wrong.add(
          "--workers is %d, but the job needs at least %d worker%s"
              .formatted(workers, fewest, fewest == 1 ? "" : "s"));
    }
    if (job.resources().device() == JobSpec.Device.CUDA) {
      wrong.add("resources.device is cuda, but a game day's workers are this machine's processors");
    }
    if (count < 0 || minutes <= 0 || every < 0) {
      wrong.add("--count, --minutes and --every are numbers of faults, minutes and seconds");
    }
    if (job.training().reduction() != JobSpec.Reduction.EXACT) {
      wrong.add(
          "training.reduction: %s promises no adapter that can be compared; use exact, for instance with --set training.reduction=exact"
              .formatted(job.training().reduction().name().toLowerCase(Locale.ROOT)));
    }
    if (job.checkpoint().remote() != null) {
      wrong.add("checkpoint.remote: a game day keeps its results on this machine; leave it out");
    }
    if (!wrong.isEmpty()) {
      throw CommandException.badRequest(wrong);
    }
  }

  private List<FaultKind> kinds() {
    if (faults == null) {
      return List.of(FaultKind.values());
    }
    List<FaultKind> kinds = new ArrayList<>();
    for (String word : faults.split(",")) {
      kinds.add(
          FaultKind.of(word.strip())
              .orElseThrow(
                  () ->
                      CommandException.badRequest(
                          "--faults: '%s' is none of %s"
                              .formatted(
                                  word.strip(),
                                  FaultKind.words(Arrays.asList(FaultKind.values()))))));
    }
    return kinds;
  }

  /** Those that this machine can do without namespaces. */
  private List<FaultKind> possible(List<FaultKind> kinds, Console console) {
    Set<FaultKind> impossible = EnumSet.noneOf(FaultKind.class);
    if (kinds.contains(FaultKind.PARTITION) && !RelayNetwork.isPossible()) {
      impossible.add(FaultKind.PARTITION);
    }
    if (kinds.contains(FaultKind.DISK_FULL) && !WriteLimits.isPossible()) {
      impossible.add(FaultKind.DISK_FULL);
    }
    if (impossible.isEmpty()) {
      return kinds;
    }
    String words = FaultKind.words(List.copyOf(impossible));
    String why = "needs Linux, with namespaces or /proc and prlimit";
    if (faults != null) {
      throw CommandException.badRequest("--faults: %s %s; leave it out".formatted(words, why));
    }
    console.talk("Left out: %s, which %s.".formatted(words, why));
    return kinds.stream().filter(kind -> !impossible.contains(kind)).toList();
  }
}
