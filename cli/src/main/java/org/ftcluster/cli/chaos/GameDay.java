package org.ftcluster.cli.chaos;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Comparator;
import java.util.List;
import java.util.function.Function;
import java.util.stream.Stream;
import org.ftcluster.cli.chaos.Round.NextFault;
import org.ftcluster.cli.chaos.Schedule.Crew;
import org.ftcluster.cli.chaos.Verdict.Ending;
import org.ftcluster.cli.client.CoordinatorClient;
import org.ftcluster.cli.client.TlsOption;
import org.ftcluster.cli.console.CommandException;
import org.ftcluster.cli.local.RunFolder;
import org.ftcluster.coordinator.job.WorkerDemand;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.job.JobSpecWriter;
import org.jspecify.annotations.Nullable;

/**
 * Runs the job once undisturbed, then again and again under faults, until there were enough of
 * them, and compares.
 */
final class GameDay {
  private static final Duration LOOK = Duration.ofMillis(20);
  private static final Duration REFERENCE = Duration.ofHours(12);
  private static final long LEAST_DISK = 64L << 20;

  private final Settings settings;
  private final RunFolder folder;
  private final Report report;
  private long beganMs;
  private int struck;

  /**
   * What is asked for.
   *
   * @param job the job, with its results in a folder
   * @param count of faults; 0 leaves it to {@code minutes}
   * @param enclosed whether networks and mounts are ours; relays and limits do otherwise
   * @param tls of all connections
   * @param reference an undisturbed run; null to make one
   */
  record Settings(
      Function<Path, JobSpec> job,
      int workers,
      double minutes,
      int count,
      long seed,
      List<FaultKind> kinds,
      double everySeconds,
      boolean enclosed,
      TlsOption tls,
      @Nullable Path reference) {
    Network network() {
      if (enclosed) {
        return new NamespaceNetwork();
      }
      return kinds.contains(FaultKind.PARTITION) ? new RelayNetwork() : new Network.Loopback();
    }

    WorkerDemand demand() {
      return WorkerDemand.of(spec());
    }

    Schedule schedule() {
      return new Schedule(seed, kinds, crew(), 1000 * everySeconds);
    }

    /**
     * Where ranks share state out, two that are lost together are more than mirrors make up for.
     */
    private Crew crew() {
      boolean shared = spec().parallel().sharding() != JobSpec.Sharding.NONE;
      return new Crew(workers, demand().min(), shared ? 1 : demand().usable(workers));
    }

    private JobSpec spec() {
      return job.apply(Path.of("chaos"));
    }
  }

  GameDay(Settings settings, RunFolder folder, Report report) {
    this.settings = settings;
    this.folder = folder;
    this.report = report;
  }

  /** Returns when all is over, and no process is left. */
  void play() {
    Path given = settings.reference();
    try (Network network = settings.network()) {
      Fleet fleet = Fleet.start(settings.workers(), network, settings.tls(), folder);
      try (fleet;
          CoordinatorClient client = fleet.client()) {
        Path referenceFolder = given == null ? folder.path().resolve("reference") : given;
        Results reference =
            given == null ? undisturbed(client, referenceFolder) : Results.read(given);
        disturbed(fleet, network, client, reference, referenceFolder);
      }
      fleet.orphans().forEach(orphan -> report.broken("a process is left: " + orphan));
    }
  }

  private Results undisturbed(CoordinatorClient client, Path place) {
    report.talk("The job runs undisturbed first.");
    delete(place);
    try (JobRun run = new JobRun(client, yaml(place), place, GameDay::nowMs)) {
      long deadline = nowMs() + REFERENCE.toMillis();
      while (!run.poll() && nowMs() < deadline) {
        pause();
      }
      Ending ending = run.ending();
      Results results = ending.results();
      if (results == null) {
        throw CommandException.failed(
            "the undisturbed run ended %s: %s".formatted(ending.state(), ending.reason()));
      }
      return results;
    }
  }

  private void disturbed(
      Fleet fleet,
      Network network,
      CoordinatorClient client,
      Results reference,
      Path referenceFolder) {
    Path rounds = folder.path().resolve("rounds");
    delete(rounds);
    Disk disk = disk(rounds, referenceFolder);
    Injector injector = new Injector(fleet, network, disk, client, GameDay::nowMs);
    NextFault next = new NextFault(settings.schedule());
    beganMs = nowMs();
    for (int number = 1; !isOver(); number++) {
      Path place = rounds.resolve("round-" + number);
      if (!playRound(number, place, fleet, injector, client, next, reference)) {
        return;
      }
    }
  }

  /** False when there is no sense in another one. */
  private boolean playRound(
      int number,
      Path place,
      Fleet fleet,
      Injector injector,
      CoordinatorClient client,
      NextFault next,
      Results reference) {
    try (JobRun run = new JobRun(client, yaml(place), place, GameDay::nowMs)) {
      Round round =
          new Round(number, run, settings.demand(), fleet, injector, next, this::isOver, counting())
              .begunAt(nowMs());
      while (round.turn()) {
        pause();
      }
      List<String> broken = Verdict.broken(reference, run.ending());
      broken.forEach(sentence -> report.broken("round %d: %s".formatted(number, sentence)));
      report.roundEnded(number, run.sightings());
      if (broken.isEmpty()) {
        tidy(place);
      } else {
        keep(place);
      }
      return !round.gaveUp() && broken.isEmpty();
    }
  }

  private Round.Listener counting() {
    return new Round.Listener() {
      @Override
      public void struck(Schedule.Planned planned, Strike strike) {
        struck++;
        report.struck(planned, strike);
      }

      @Override
      public void gotOver(Aftermath aftermath) {
        report.gotOver(aftermath);
      }

      @Override
      public void broken(String sentence) {
        report.broken(sentence);
      }
    };
  }

  private boolean isOver() {
    return settings.count() > 0
        ? struck >= settings.count()
        : nowMs() - beganMs > 60_000 * settings.minutes();
  }

  private String yaml(Path place) {
    return JobSpecWriter.toYaml(settings.job().apply(place));
  }

  /** Null where it is never full; else with room for what a run leaves, several times. */
  private @Nullable Disk disk(Path rounds, Path reference) {
    try {
      Files.createDirectories(rounds);
      if (!settings.kinds().contains(FaultKind.DISK_FULL)) {
        return null;
      }
      if (!settings.enclosed()) {
        return new WriteLimits();
      }
      long bytes = 0;
      try (Stream<Path> files = Files.walk(reference)) {
        for (Path file : files.filter(Files::isRegularFile).toList()) {
          bytes += Files.size(file);
        }
      }
      return new LimitedDisk(rounds, LEAST_DISK + 4 * bytes);
    } catch (IOException e) {
      throw CommandException.failed("%s can't be made: %s".formatted(rounds, e)).because(e);
    }
  }

  private void tidy(Path place) {
    try (Stream<Path> entries = Files.list(place)) {
      entries.filter(entry -> Files.isDirectory(entry)).forEach(this::delete);
    } catch (IOException e) {
      throw CommandException.failed("%s can't be tidied up: %s".formatted(place, e)).because(e);
    }
  }

  /** A limited disk vanishes with us. */
  private void keep(Path place) {
    if (settings.enclosed() && settings.kinds().contains(FaultKind.DISK_FULL)) {
      Path kept = folder.path().resolve("kept");
      Shell.run("mkdir", "-p", kept.toString());
      Shell.run("cp", "-r", place.toString(), kept.toString());
    }
  }

  private void delete(Path tree) {
    if (!Files.exists(tree)) {
      return;
    }
    try (Stream<Path> all = Files.walk(tree)) {
      for (Path path : all.sorted(Comparator.reverseOrder()).toList()) {
        Files.delete(path);
      }
    } catch (IOException e) {
      throw CommandException.failed("%s can't be deleted: %s".formatted(tree, e)).because(e);
    }
  }

  private static long nowMs() {
    return System.nanoTime() / 1_000_000;
  }

  private static void pause() {
    try {
      Thread.sleep(LOOK);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw CommandException.failed("interrupted").because(e);
    }
  }
}
