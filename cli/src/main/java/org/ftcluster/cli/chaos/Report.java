package org.ftcluster.cli.chaos;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import org.ftcluster.cli.chaos.Schedule.Planned;
import org.ftcluster.cli.console.Console;
import org.ftcluster.cli.console.ExitCode;

/** Says what happens, and in the end whether all promises held. */
final class Report {
  private final Console console;
  private final long seed;
  private final List<String> broken = new ArrayList<>();
  private final RecoveryTimes times = new RecoveryTimes();
  private int faults;
  private int rounds;

  Report(Console console, long seed) {
    this.console = console;
    this.seed = seed;
  }

  /**
   * A fault, when the cluster has got over it.
   *
   * @param step the last one completed before it
   * @param recoverySeconds until the next completed step, of a newer generation where one followed;
   *     null in JSON where the job ended first, or nothing had to recover
   * @param together whether it struck while the cluster was busy with another one
   * @param repeated steps done again, for all faults that struck together
   */
  record FaultLine(
      String event,
      int number,
      int round,
      String fault,
      String what,
      long step,
      long generation,
      double recoverySeconds,
      boolean together,
      int lostGenerations,
      Set<Long> repeated,
      List<String> broken) {}

  /**
   * The last line.
   *
   * @param held whether all promises did
   */
  record VerdictLine(
      String event,
      boolean held,
      long seed,
      int faults,
      int rounds,
      List<RecoveryTimes.Line> recovery,
      List<String> broken) {}

  void talk(String sentence) {
    console.talk(sentence);
  }

  void struck(Planned planned, Strike strike) {
    faults++;
    console.talk("%s  [step %d: %s]".formatted(planned.text(), strike.step(), strike.what()));
  }

  void gotOver(Aftermath aftermath) {
    times.add(aftermath);
    for (int i = 0; i < aftermath.strikes().size(); i++) {
      Strike strike = aftermath.strikes().get(i);
      double seconds =
          aftermath.recoveriesMs().get(i).isPresent()
              ? aftermath.recoveriesMs().get(i).getAsLong() / 1000.0
              : Double.NaN;
      console.json(
          new FaultLine(
              "fault",
              strike.number(),
              strike.round(),
              strike.kind().word(),
              strike.what(),
              strike.step(),
              strike.generation(),
              seconds,
              !aftermath.isOfOne(),
              aftermath.lostGenerations(),
              aftermath.repeated(),
              aftermath.broken()));
      console.talk(
          String.format(
              Locale.ROOT,
              "%3d  %s%s",
              strike.number(),
              Double.isNaN(seconds)
                  ? "nothing had to recover"
                  : String.format(Locale.ROOT, "next step after %.2f s", seconds),
              aftermath.repeated().isEmpty() ? "" : ", done again: " + aftermath.repeated()));
    }
    aftermath.broken().forEach(this::broken);
  }

  void broken(String sentence) {
    broken.add(sentence);
    console.talk("BROKEN: " + sentence);
  }

  void roundEnded(int number, Sightings seen) {
    rounds = number;
    console.talk(
        "Round %d ended with step %d in generation %d."
            .formatted(number, seen.newestStep(), seen.newestGeneration()));
  }

  /** Prints the end. */
  ExitCode verdict() {
    List<RecoveryTimes.Line> lines = times.lines();
    StringBuilder text =
        new StringBuilder(
            "%-12s %6s %9s %9s %9s %9s %9s%n"
                .formatted(
                    "FAULT", "FAULTS", "MEASURED", "MEDIAN s", "P99 s", "MAX s", "REPEATED"));
    for (RecoveryTimes.Line line : lines) {
      text.append(
          String.format(
              Locale.ROOT,
              "%-12s %6d %9d %9.2f %9.2f %9.2f %9d%n",
              line.fault(),
              line.faults(),
              line.measured(),
              line.medianSeconds(),
              line.p99Seconds(),
              line.maxSeconds(),
              line.repeated()));
    }
    text.append(
        broken.isEmpty()
            ? "All promises held through %d faults in %d runs of the job, seed %d."
                .formatted(faults, rounds, seed)
            : "Broken, with seed %d:%n%s".formatted(seed, String.join("\n", broken)));
    console.text(text.toString());
    console.json(
        new VerdictLine(
            "verdict", broken.isEmpty(), seed, faults, rounds, lines, List.copyOf(broken)));
    return broken.isEmpty() ? ExitCode.DONE : ExitCode.FAILED;
  }
}
