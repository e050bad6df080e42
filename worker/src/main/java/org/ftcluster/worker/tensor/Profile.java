package org.ftcluster.worker.tensor;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Where the time of one thread goes: each operation reports how long it took, and what it had to
 * do. Operations don't contain each other, so their times add up; what is missing from the whole is
 * spent between them.
 *
 * <p>While no profile is active, an operation pays one comparison.
 */
public final class Profile {
  private static volatile @Nullable Profile active;

  private final Thread thread = Thread.currentThread();
  private final Map<String, Sum> sums = new HashMap<>();

  private Profile() {}

  /**
   * What all calls of an operation took together.
   *
   * @param calls how many there were, or a mean of that, which needn't be whole
   * @param flops floating-point operations, 0 where bytes are what counts
   * @param bytes read and written, 0 where floating-point operations are what counts
   */
  public record Sum(String operation, double calls, double seconds, double flops, double bytes) {
    /** The share of one of {@code parts} equal ones. */
    public Sum per(int parts) {
      return new Sum(operation, calls / parts, seconds / parts, flops / parts, bytes / parts);
    }

    private Sum plus(double moreSeconds, double moreFlops, double moreBytes) {
      return new Sum(
          operation, calls + 1, seconds + moreSeconds, flops + moreFlops, bytes + moreBytes);
    }
  }

  /** Records the calling thread's operations from now on, in place of whichever was recorded. */
  public static Profile start() {
    Profile profile = new Profile();
    active = profile;
    return profile;
  }

  /** Ends the recording. The longest come first. */
  public List<Sum> stop() {
    active = null;
    List<Sum> longestFirst = new ArrayList<>(sums.values());
    longestFirst.sort(Comparator.comparingDouble(Sum::seconds).reversed());
    return longestFirst;
  }

  /** To be called as an operation begins; {@link #ended} takes what it returns. */
  public static long begin() {
    return active == null ? 0 : System.nanoTime();
  }

  /**
   * To be called as an operation ends.
   *
   * @param startNs what {@link #begin} returned
   */
  public static void ended(String operation, long startNs, double flops, double bytes) {
    Profile profile = active;
    if (profile == null || startNs == 0 || Thread.currentThread() != profile.thread) {
      return;
    }
    double seconds = (System.nanoTime() - startNs) / 1e9;
    Sum sum = profile.sums.getOrDefault(operation, new Sum(operation, 0, 0, 0, 0));
    profile.sums.put(operation, sum.plus(seconds, flops, bytes));
  }

  /** Whether names that take time to make are worth making. */
  public static boolean isActive() {
    return active != null;
  }
}
