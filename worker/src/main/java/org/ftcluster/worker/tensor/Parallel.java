package org.ftcluster.worker.tensor;

import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;

/**
 * Shares independent rows out over a few threads: the kernels' and those of libtorch's products,
 * which run on one thread each. libtorch's own threads would be more than there are processors, and
 * wait for work by spinning.
 *
 * <p>Rows are cut into more pieces than there are threads, and a thread takes the next one when it
 * is done: processors that are rented differ in speed from one moment to the next, and one that
 * wakes late has missed no more than what others did meanwhile.
 *
 * <p>One JVM holds one rank, so the number of threads is the JVM's; it never changes a kernel's
 * result, since nothing is summed across rows of different pieces.
 */
public final class Parallel {
  /** For each thread, where there are rows enough. */
  private static final int PIECES = 4;

  /** Looks at what others do before sleeping: some ten microseconds, what it takes to wake. */
  private static final int SPINS = 256;

  private static volatile int threads = 1;

  /** Other than the callers. */
  private static final ThreadPoolExecutor HELPERS =
      new ThreadPoolExecutor(
          0,
          Integer.MAX_VALUE,
          1,
          TimeUnit.MINUTES,
          new LinkedBlockingQueue<>(),
          Thread.ofPlatform().daemon().name("kernel-", 0).factory());

  private Parallel() {}

  /** Handles rows {@code from} (inclusive) to {@code to} (exclusive). */
  @FunctionalInterface
  public interface Range {
    void run(int from, int to);
  }

  /** The same by a thread that has something of its own. */
  @FunctionalInterface
  public interface ThreadRange {
    /**
     * @param thread below {@link #threads()}; no two run at once under the same
     */
    void run(int thread, int from, int to);
  }

  public static void setThreads(int count) {
    if (count < 1) {
      throw new IllegalArgumentException("threads: " + count);
    }
    threads = count;
    HELPERS.setCorePoolSize(count - 1);
  }

  /**
   * What a kernel has to do.
   *
   * @param kernel its name in a {@link Profile}
   * @param flops floating-point operations, 0 where bytes are what counts
   * @param bytes read and written, 0 where floating-point operations are what counts
   */
  public record Cost(String kernel, double flops, double bytes) {
    /** Of a kernel that goes through tensors once. */
    public static Cost through(String kernel, Tensor... tensors) {
      double bytes = 0;
      for (Tensor tensor : tensors) {
        bytes += (double) tensor.elements() * tensor.dtype().bytes();
      }
      return new Cost(kernel, 0, bytes);
    }
  }

  /**
   * Runs {@code range} over [0, rows), and returns when all of it is done.
   *
   * @param grain the fewest rows that are worth a piece of their own
   */
  public static void rows(Cost cost, long rows, int grain, Range range) {
    rows(cost, rows, grain, (thread, from, to) -> range.run(from, to));
  }

  /** The same where each thread has scratch of its own. */
  public static void rows(Cost cost, long rows, int grain, ThreadRange range) {
    long start = Profile.begin();
    run(rows, grain, range);
    Profile.ended(cost.kernel(), start, cost.flops(), cost.bytes());
  }

  /** How many take part, at most. */
  public static int threads() {
    return threads;
  }

  static void run(long rows, int grain, ThreadRange range) {
    if (DryRun.isOn()) {
      return;
    }
    int count = Math.toIntExact(rows);
    int most = threads;
    int pieces = most == 1 ? 1 : Math.clamp(count / Math.max(grain, 1), 1, PIECES * most);
    if (pieces == 1) {
      range.run(0, 0, count);
      return;
    }
    Pieces work = new Pieces(range, count, pieces);
    try {
      for (int helper = 1; helper < Math.min(most, pieces); helper++) {
        HELPERS.execute(work::take);
      }
    } finally {
      // Where there is no further thread, either: those that there are must be done first.
      work.take();
      work.await();
    }
  }

  /** The pieces of one call, of which each thread takes the next one until there is none. */
  private static final class Pieces {
    private final ThreadRange range;
    private final long rows;
    private final int count;
    private final Thread caller = Thread.currentThread();
    private final AtomicInteger numbers = new AtomicInteger();
    private final AtomicInteger next = new AtomicInteger();
    private final AtomicInteger left;
    private final AtomicReference<Throwable> failure = new AtomicReference<>();

    Pieces(ThreadRange range, int rows, int count) {
      this.range = range;
      this.rows = rows;
      this.count = count;
      left = new AtomicInteger(count);
    }

    /** A thread that comes when all is taken does nothing. */
    void take() {
      int piece = next.getAndIncrement();
      if (piece >= count) {
        return;
      }
      int thread = numbers.getAndIncrement();
      for (; piece < count; piece = next.getAndIncrement()) {
        try {
          range.run(thread, (int) (rows * piece / count), (int) (rows * (piece + 1) / count));
        } catch (Throwable e) {
          failure.compareAndSet(null, e);
        } finally {
          if (left.decrementAndGet() == 0 && Thread.currentThread() != caller) {
            LockSupport.unpark(caller);
          }
        }
      }
    }

    /**
     * Kernels end by themselves, so this wait needs no bound; an interrupt is kept for the caller
     * to see.
     */
    void await() {
      for (int spin = 0; spin < SPINS && left.get() > 0; spin++) {
        Thread.onSpinWait();
      }
      boolean interrupted = false;
      while (left.get() > 0) {
        LockSupport.park(this);
        interrupted |= Thread.interrupted();
      }
      if (interrupted) {
        caller.interrupt();
      }
      switch (failure.get()) {
        case null -> {}
        case RuntimeException e -> throw e;
        case Error e -> throw e;
        case Throwable e -> throw new IllegalStateException("a kernel failed", e);
      }
    }
  }
}
