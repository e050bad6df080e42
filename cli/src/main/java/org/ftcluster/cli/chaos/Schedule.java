package org.ftcluster.cli.chaos;

import java.util.ArrayList;
import java.util.Collections;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.Random;

/**
 * An endless sequence of faults that follows from a seed, the kinds wanted, the workers and the
 * mean time between faults, and from nothing else. Every kind comes once before any comes again; a
 * kind that is named twice comes twice as often.
 *
 * <p>Now and then a fault strikes while the cluster is busy with the one before. Never three at
 * once, and only where three workers or more hold the job's state: one of them is always left
 * alone.
 */
final class Schedule implements Iterator<Schedule.Planned> {
  /** One of so many strikes early. */
  private static final int HASTY_ONE_IN = 4;

  private static final long HASTY_MS = 3_000;
  private static final int FEWEST_FOR_HASTE = 3;

  /**
   * Workers and what they are for.
   *
   * @param atFirst that the run begins with
   * @param fewest that the job goes on with
   * @param holders of the job's state, each of all of it
   */
  record Crew(int atFirst, int fewest, int holders) {}

  private final Random random;
  private final List<FaultKind> kinds;
  private final Crew crew;
  private final double meanWaitMs;
  private final List<FaultKind> bag = new ArrayList<>();
  private int number;

  /** Workers above those that the run began with: -1, 0 or 1. */
  private int surplus;

  private boolean hasty;

  /**
   * A fault and its time.
   *
   * @param number counted from 1
   * @param waitMs since the cluster has got over the fault before, or, where this one is hasty,
   *     since that struck
   */
  record Planned(int number, long waitMs, boolean hasty, Fault fault) {
    /** A line for people. */
    String text() {
      return String.format(
          Locale.ROOT,
          "%3d  %s %4.1f s  %-11s  %s",
          number,
          hasty ? "early, after" : "after       ",
          waitMs / 1000.0,
          fault.kind().word(),
          fault.text());
    }
  }

  /**
   * Begins with the first fault.
   *
   * @param kinds at least one
   */
  Schedule(long seed, List<FaultKind> kinds, Crew crew, double meanWaitMs) {
    this.random = new Random(seed);
    this.kinds = List.copyOf(kinds);
    this.crew = crew;
    this.meanWaitMs = meanWaitMs;
  }

  @Override
  public boolean hasNext() {
    return true;
  }

  @Override
  public Planned next() {
    number++;
    hasty =
        number > 1
            && !hasty
            && crew.holders() >= FEWEST_FOR_HASTE
            && random.nextInt(HASTY_ONE_IN) == 0;
    long waitMs = hasty ? random.nextLong(HASTY_MS) : exponentialMs();
    return new Planned(number, waitMs, hasty, fault(nextKind()));
  }

  private FaultKind nextKind() {
    if (bag.isEmpty()) {
      bag.addAll(kinds);
      Collections.shuffle(bag, random);
    }
    return bag.removeLast();
  }

  /** Cut at four times the mean, so that no run waits for long. */
  private long exponentialMs() {
    return (long) Math.min(4 * meanWaitMs, -meanWaitMs * Math.log(1 - random.nextDouble()));
  }

  private Fault fault(FaultKind kind) {
    int victim = random.nextInt(crew.atFirst());
    return switch (kind) {
      case KILL -> new Fault.Kill(victim);
      case PAUSE -> new Fault.Pause(victim, between(7_000, 12_000));
      case PARTITION -> partition(victim);
      case JOIN -> {
        boolean oneLeaves = surplus == 1;
        surplus += oneLeaves ? 0 : 1;
        yield new Fault.Join(oneLeaves);
      }
      case DRAIN -> {
        boolean replaced = surplus == -1 || surplus + crew.atFirst() <= crew.fewest();
        surplus -= replaced ? 0 : 1;
        yield new Fault.Drain(victim, random.nextBoolean(), replaced);
      }
      case SLOW ->
          new Fault.Slow(victim, between(3_000, 8_000), between(200, 1_500), between(200, 1_000));
      case COORDINATOR -> new Fault.Coordinator(between(0, 5_000));
      case DISK_FULL -> new Fault.DiskFull(between(2_000, 8_000));
    };
  }

  /** One of four lasts until the cluster has put the worker out. */
  private Fault partition(int victim) {
    Cut cut = Cut.values()[random.nextInt(Cut.values().length)];
    long ms = random.nextInt(4) == 0 ? between(20_000, 30_000) : between(6_000, 12_000);
    return new Fault.Partition(victim, cut, ms);
  }

  private long between(long least, long most) {
    return random.nextLong(least, most + 1);
  }
}
