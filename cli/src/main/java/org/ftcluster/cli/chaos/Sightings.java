package org.ftcluster.cli.chaos;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.function.LongSupplier;
import org.ftcluster.protocol.api.JobUpdate;
import org.ftcluster.protocol.api.StepMetrics;

/**
 * What was seen of one run of a job, and when. Any thread may add to it: steps come from the
 * coordinator, and from the job's own lines, which are there while no coordinator is.
 */
final class Sightings {
  private final LongSupplier clockMs;
  private final List<Step> steps = new ArrayList<>();
  private final List<Loss> losses = new ArrayList<>();
  private final Set<String> announced = new HashSet<>(Set.of("a worker leaves"));
  private final Set<List<Long>> known = new HashSet<>();
  private JobUpdate last = JobUpdate.getDefaultInstance();
  private long heardMs;
  private long newestGeneration;
  private long newestStep;

  /** A step of a generation, when it was first seen completed. */
  record Step(long atMs, long step, long generation, int workers) {}

  /** A generation that ended before its time. */
  record Loss(long atMs, long generation, String reason) {}

  Sightings(LongSupplier clockMs) {
    this.clockMs = clockMs;
  }

  /** The clock of all that is here; only differences count. */
  long nowMs() {
    return clockMs.getAsLong();
  }

  /** A line of {@code metrics.jsonl}, or what the coordinator says of it. */
  synchronized void step(long step, long generation, int workers) {
    if (known.add(List.of(step, generation))) {
      steps.add(new Step(nowMs(), step, generation, workers));
      newestStep = Math.max(newestStep, step);
      newestGeneration = Math.max(newestGeneration, generation);
    }
  }

  /** What the coordinator says. */
  synchronized void update(JobUpdate update) {
    heardMs = nowMs();
    String note = update.getNote();
    String reason = update.getJob().getReason();
    if (note.startsWith("The workers change after this step: ")) {
      announced.add(note.substring(note.indexOf(": ") + 2, note.length() - 1));
    }
    boolean isNew = !reason.equals(last.getJob().getReason());
    if (update.getJob().getState().equals("RECOVERING")
        && isNew
        && !reason.isEmpty()
        && !announced.contains(reason)) {
      losses.add(new Loss(nowMs(), update.getJob().getGeneration(), reason));
    }
    last = update;
    newestGeneration = Math.max(newestGeneration, update.getJob().getGeneration());
    if (update.hasStep()) {
      StepMetrics step = update.getStep();
      step(step.getStep(), step.getGeneration(), step.getWorkers());
    }
  }

  /** What the coordinator said last. */
  synchronized JobUpdate last() {
    return last;
  }

  /** Whether a coordinator has said, since then, that the job makes steps. */
  synchronized boolean isRunningSince(long ms) {
    return heardMs > ms && last.getJob().getState().equals("RUNNING");
  }

  synchronized List<Step> steps() {
    return List.copyOf(steps);
  }

  synchronized List<Loss> losses() {
    return List.copyOf(losses);
  }

  synchronized long newestStep() {
    return newestStep;
  }

  synchronized long newestGeneration() {
    return newestGeneration;
  }
}
