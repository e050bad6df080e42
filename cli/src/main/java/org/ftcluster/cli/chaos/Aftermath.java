package org.ftcluster.cli.chaos;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.OptionalLong;
import java.util.Set;
import java.util.TreeSet;
import org.ftcluster.cli.chaos.Sightings.Loss;
import org.ftcluster.cli.chaos.Sightings.Step;

/**
 * What faults that fell together led to, from the first one to the time when the cluster had got
 * over them all. Follows from what was seen, and from nothing else.
 *
 * @param recoveriesMs of each strike: from it to the next completed step, of a newer generation
 *     where one followed; empty where the job ended first, or nothing had to recover
 * @param repeated steps that were completed in one generation and again in a later one
 * @param broken promises, a sentence each
 */
record Aftermath(
    List<Strike> strikes,
    List<OptionalLong> recoveriesMs,
    Set<Long> repeated,
    int lostGenerations,
    List<String> broken) {

  /**
   * Judges.
   *
   * @param strikes at least one, in order
   * @param untilMs when it was over
   */
  static Aftermath of(List<Strike> strikes, List<Step> steps, List<Loss> losses, long untilMs) {
    long fromMs = strikes.getFirst().atMs();
    List<Loss> lost =
        losses.stream().filter(loss -> loss.atMs() >= fromMs && loss.atMs() <= untilMs).toList();
    Set<Long> repeated = repeated(steps, fromMs, untilMs);
    return new Aftermath(
        List.copyOf(strikes),
        strikes.stream().map(strike -> recovery(strike, steps, untilMs)).toList(),
        repeated,
        lost.size(),
        broken(strikes, repeated, lost));
  }

  /** Whether one fault alone is answerable for all of it. */
  boolean isOfOne() {
    return strikes.size() == 1;
  }

  private static Set<Long> repeated(List<Step> steps, long fromMs, long untilMs) {
    Set<Long> before = new HashSet<>();
    Set<Long> repeated = new TreeSet<>();
    for (Step step : steps) {
      if (!before.add(step.step()) && step.atMs() >= fromMs && step.atMs() <= untilMs) {
        repeated.add(step.step());
      }
    }
    return repeated;
  }

  private static OptionalLong recovery(Strike strike, List<Step> steps, long untilMs) {
    List<Step> after =
        steps.stream()
            .filter(step -> step.atMs() >= strike.atMs() && step.atMs() <= untilMs)
            .toList();
    OptionalLong renewed =
        after.stream()
            .filter(step -> step.generation() > strike.generation())
            .mapToLong(step -> step.atMs() - strike.atMs())
            .findFirst();
    return renewed.isPresent() || needsGeneration(strike.kind())
        ? renewed
        : after.stream().mapToLong(step -> step.atMs() - strike.atMs()).findFirst();
  }

  private static boolean needsGeneration(FaultKind kind) {
    return switch (kind) {
      case KILL, PAUSE, JOIN, DRAIN -> true;
      case PARTITION, SLOW, COORDINATOR, DISK_FULL -> false;
    };
  }

  private static List<String> broken(List<Strike> strikes, Set<Long> repeated, List<Loss> lost) {
    List<String> broken = new ArrayList<>();
    String what = words(strikes);
    int allowed = allowed(strikes, lost.size());
    if (repeated.size() > allowed) {
      broken.add(
          "%s: steps %s were done again, where at most %d may be"
              .formatted(what, repeated, allowed));
    }
    if (!lost.isEmpty() && strikes.stream().allMatch(strike -> strike.kind().isOrderly())) {
      broken.add(
          "%s: generation %d was given up in the middle of a step (%s)"
              .formatted(what, lost.getFirst().generation(), lost.getFirst().reason()));
    }
    return broken;
  }

  /** A partition that lasts may cost several generations. */
  private static int allowed(List<Strike> strikes, int lostGenerations) {
    int each = strikes.stream().mapToInt(strike -> strike.kind().repeats()).sum();
    boolean lasting = strikes.stream().anyMatch(strike -> strike.kind() == FaultKind.PARTITION);
    return lasting ? Math.max(each, lostGenerations) : each;
  }

  private static String words(List<Strike> strikes) {
    return String.join(
        " and ",
        strikes.stream()
            .map(strike -> "fault %d (%s)".formatted(strike.number(), strike.what()))
            .toList());
  }
}
