package org.ftcluster.worker.training;

import java.time.Duration;
import java.util.Optional;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/**
 * Tells whether a rank hangs in work of its own, as opposed to waiting for others: its connections
 * may well beat meanwhile, since another thread keeps them. Work is begun and ended by the rank's
 * thread; any thread may ask, and one has to do so every second or so: time in which nobody did
 * isn't counted, since the whole process was paused then.
 */
public final class Pulse {
  /** System property: no work that takes less is judged to hang, in seconds. */
  static final String FLOOR_PROPERTY = "ftcluster.hang.floor.seconds";

  private static final long DEFAULT_FLOOR_SECONDS = 60;

  /** So many times as long as the longest that was ever done, and it hangs. */
  static final int TIMES_THE_LONGEST = 10;

  /** Nobody asked for longer than this: the process was paused, or got no processor. */
  private static final long LONGEST_GAP_NS = Duration.ofSeconds(3).toNanos();

  private final Duration floor;
  private final Duration first;
  private final LongSupplier clockNs;

  private @Nullable String work;
  private boolean isWaiting;
  private long begunNs;
  private long askedNs;

  /** Within the present work. */
  private long pausedNs;

  private long longestNs;

  /**
   * @param floor no work that takes less is judged to hang
   * @param first as long as nothing was done, which could be compared with
   * @param clockNs goes only forward
   */
  Pulse(Duration floor, Duration first, LongSupplier clockNs) {
    this.floor = floor;
    this.first = first;
    this.clockNs = clockNs;
  }

  static Pulse standard(Deadlines deadlines) {
    return new Pulse(
        Duration.ofSeconds(Long.getLong(FLOOR_PROPERTY, DEFAULT_FLOOR_SECONDS)),
        deadlines.progress(),
        System::nanoTime);
  }

  /**
   * @param work names it
   */
  synchronized void begin(String work) {
    this.work = work;
    begunNs = clockNs.getAsLong();
    askedNs = begunNs;
    pausedNs = 0;
  }

  /**
   * Does something that may wait for others in the midst of the work, in which time it can't hang.
   */
  void whileWaiting(Runnable wait) {
    long sinceNs = startWaiting();
    try {
      wait.run();
    } finally {
      stopWaiting(sinceNs);
    }
  }

  private synchronized long startWaiting() {
    takenNs(); // a pause until now isn't counted
    isWaiting = true;
    return askedNs;
  }

  private synchronized void stopWaiting(long sinceNs) {
    isWaiting = false;
    askedNs = clockNs.getAsLong();
    pausedNs += askedNs - sinceNs;
  }

  /** What was begun, if anything was, is done. */
  synchronized void end() {
    if (work != null) {
      work = null;
      longestNs = Math.max(longestNs, takenNs());
    }
  }

  /** Given up: it says nothing of how long such work takes. */
  synchronized void forget() {
    work = null;
  }

  /** Why the rank is judged to hang, if it is. */
  synchronized Optional<String> hang() {
    if (work == null || isWaiting) {
      return Optional.empty();
    }
    Duration taken = Duration.ofNanos(takenNs());
    Duration longest = Duration.ofNanos(longestNs);
    Duration limit = longestNs == 0 ? first : max(floor, longest.multipliedBy(TIMES_THE_LONGEST));
    return taken.compareTo(limit) <= 0
        ? Optional.empty()
        : Optional.of(
            "the rank hangs: %s has taken %d s so far, and the longest before it took %.1f s"
                .formatted(work, taken.toSeconds(), longest.toMillis() / 1e3));
  }

  private long takenNs() {
    long nowNs = clockNs.getAsLong();
    pausedNs += Math.max(0, nowNs - askedNs - LONGEST_GAP_NS);
    askedNs = nowNs;
    return nowNs - begunNs - pausedNs;
  }

  private static Duration max(Duration a, Duration b) {
    return a.compareTo(b) >= 0 ? a : b;
  }
}
