package org.ftcluster.cli.chaos;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.BooleanSupplier;
import org.ftcluster.cli.chaos.Schedule.Planned;
import org.ftcluster.cli.chaos.Sightings.Step;
import org.ftcluster.coordinator.job.WorkerDemand;
import org.jspecify.annotations.Nullable;

/**
 * One run of the job under faults: strikes when the schedule says so and all workers are at work,
 * and waits until the cluster has got over it. It has when steps are completed by as many workers
 * as there are.
 */
final class Round {
  /** Generous: machines where this runs are busy. */
  private static final Duration PATIENCE = Duration.ofMinutes(4);

  /** What is well for so long stays well: what a fault leads to may take a moment to begin. */
  private static final long STABLE_MS = 1_000;

  private final int number;
  private final JobRun job;
  private final WorkerDemand demand;
  private final Fleet fleet;
  private final Injector injector;
  private final NextFault next;
  private final BooleanSupplier over;
  private final Listener listener;
  private final List<Strike> open = new ArrayList<>();
  private long calmSinceMs;
  private long strongSinceMs = Long.MAX_VALUE;
  private boolean gaveUp;

  /** Hears what happens. */
  interface Listener {
    void struck(Planned planned, Strike strike);

    void gotOver(Aftermath aftermath);

    void broken(String sentence);
  }

  /** What is due next; taken when it struck, so that it waits for the next round if need be. */
  static final class NextFault {
    private final Schedule schedule;
    private @Nullable Planned planned;

    NextFault(Schedule schedule) {
      this.schedule = schedule;
    }

    Planned peek() {
      Planned now = planned == null ? schedule.next() : planned;
      planned = now;
      return now;
    }

    void taken() {
      planned = null;
    }
  }

  /**
   * Begins when the job has completed a step.
   *
   * @param demand how many workers the job takes
   * @param over whether there are to be no more faults
   */
  Round(
      int number,
      JobRun job,
      WorkerDemand demand,
      Fleet fleet,
      Injector injector,
      NextFault next,
      BooleanSupplier over,
      Listener listener) {
    this.number = number;
    this.job = job;
    this.demand = demand;
    this.fleet = fleet;
    this.injector = injector;
    this.next = next;
    this.over = over;
    this.listener = listener;
  }

  /** Looks once at everything; false when the job has ended, or stands still. */
  boolean turn() {
    boolean ended = job.poll();
    injector.tick();
    for (String crash : fleet.crashed()) {
      listener.broken(crash);
      replaceCrashed();
    }
    Sightings seen = job.sightings();
    if (ended) {
      injector.endAll();
      close();
      return false;
    }
    if (standsStill(seen)) {
      return false;
    }
    if (!isAtFullStrength(seen)) {
      strongSinceMs = Long.MAX_VALUE;
    } else if (strongSinceMs == Long.MAX_VALUE) {
      strongSinceMs = seen.nowMs();
    } else if (!open.isEmpty() && seen.nowMs() - strongSinceMs >= STABLE_MS) {
      close();
    }
    if (!over.getAsBoolean() && seen.newestStep() > 0 && isDue(next.peek(), seen.nowMs())) {
      strike(next.peek());
    }
    return true;
  }

  /** Whether there is no sense in going on. */
  boolean gaveUp() {
    return gaveUp;
  }

  private void replaceCrashed() {
    if (fleet.isCoordinatorDown() && injector.isIdle()) {
      fleet.restartCoordinator();
    } else {
      injector.startWorker();
    }
  }

  private boolean isDue(Planned planned, long nowMs) {
    if (planned.hasty() && !open.isEmpty()) {
      return nowMs >= open.getLast().atMs() + planned.waitMs();
    }
    boolean isCalm = open.isEmpty() && strongSinceMs <= nowMs;
    return isCalm && nowMs >= calmSinceMs + planned.waitMs();
  }

  private void strike(Planned planned) {
    Sightings seen = job.sightings();
    long generation = seen.newestGeneration();
    long step = seen.newestStep();
    long atMs = seen.nowMs();
    Optional<String> what = injector.inject(planned.fault());
    if (what.isEmpty()) {
      return; // Nobody is there just now: tried again.
    }
    next.taken();
    Strike strike =
        new Strike(
            planned.number(), number, planned.fault().kind(), atMs, step, generation, what.get());
    open.add(strike);
    listener.struck(planned, strike);
  }

  /** As many at work as there are, or as the job has use for, since the last fault was over. */
  private boolean isAtFullStrength(Sightings seen) {
    List<Step> steps = seen.steps();
    if (steps.isEmpty() || !injector.isIdle() || !seen.isRunningSince(injector.lastEndMs())) {
      return false;
    }
    int wanted = demand.usable(fleet.serving().size());
    Step last = steps.getLast();
    return last.atMs() > injector.lastEndMs()
        && last.workers() == wanted
        && last.generation() == seen.newestGeneration()
        && fleet.leaving().isEmpty()
        && !fleet.isCoordinatorDown();
  }

  private boolean standsStill(Sightings seen) {
    List<Step> steps = seen.steps();
    long sinceMs = Math.max(calmSinceMs, injector.lastEndMs());
    long progressMs = steps.isEmpty() ? sinceMs : Math.max(sinceMs, steps.getLast().atMs());
    String wrong = null;
    if (seen.nowMs() - progressMs > PATIENCE.toMillis()) {
      wrong = "no step was completed";
    } else if (!open.isEmpty() && seen.nowMs() - sinceMs > PATIENCE.toMillis()) {
      wrong = "not all %d workers were at work again".formatted(fleet.serving().size());
    }
    if (wrong == null) {
      return false;
    }
    String after = open.isEmpty() ? "" : " after fault %d".formatted(open.getLast().number());
    listener.broken(
        "%s within %d s%s; the job is %s %s"
            .formatted(
                wrong,
                PATIENCE.toSeconds(),
                after,
                seen.last().getJob().getState(),
                seen.last().getJob().getReason()));
    close();
    gaveUp = true;
    return true;
  }

  private void close() {
    Sightings seen = job.sightings();
    calmSinceMs = seen.nowMs();
    if (!open.isEmpty()) {
      Aftermath aftermath = Aftermath.of(open, seen.steps(), seen.losses(), seen.nowMs());
      open.clear();
      listener.gotOver(aftermath);
    }
  }

  /** When the job was handed in. */
  Round begunAt(long nowMs) {
    calmSinceMs = nowMs;
    return this;
  }
}
