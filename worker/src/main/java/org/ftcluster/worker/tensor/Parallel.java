package org.ftcluster.worker.tensor;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/**
 * Shares independent rows out over a few threads: the kernels' and those of libtorch's products,
 * which run on one thread each. libtorch's own threads would be more than there are processors, and
 * wait for work by spinning.
 *
 * <p>One JVM holds one rank, so the number of threads is the JVM's; it never changes a result,
 * since nothing is summed across rows that different threads hold.
 */
public final class Parallel {
  private static volatile int threads = 1;
  private static final ExecutorService POOL =
      Executors.newCachedThreadPool(Thread.ofPlatform().daemon().name("kernel-", 0).factory());

  private Parallel() {}

  /** Handles rows {@code from} (inclusive) to {@code to} (exclusive). */
  @FunctionalInterface
  public interface Range {
    void run(int from, int to);
  }

  public static void setThreads(int count) {
    if (count < 1) {
      throw new IllegalArgumentException("threads: " + count);
    }
    threads = count;
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
   * @param grain the fewest rows that are worth a thread of their own
   */
  public static void rows(Cost cost, long rows, int grain, Range range) {
    long start = Profile.begin();
    run(rows, grain, range);
    Profile.ended(cost.kernel(), start, cost.flops(), cost.bytes());
  }

  /** How many take part, at most. */
  public static int threads() {
    return threads;
  }

  static void run(long rows, int grain, Range range) {
    if (DryRun.isOn()) {
      return;
    }
    int count = Math.toIntExact(rows);
    int parts = Math.clamp(count / Math.max(grain, 1), 1, threads);
    if (parts == 1) {
      range.run(0, count);
      return;
    }
    List<Future<?>> others = new ArrayList<>(parts - 1);
    for (int part = 1; part < parts; part++) {
      int from = (int) ((long) count * part / parts);
      int to = (int) ((long) count * (part + 1) / parts);
      others.add(POOL.submit(() -> range.run(from, to)));
    }
    range.run(0, count / parts);
    for (Future<?> other : others) {
      await(other);
    }
  }

  /**
   * Kernels end by themselves, so this wait needs no bound; an interrupt is kept for the caller to
   * see.
   */
  private static void await(Future<?> part) {
    boolean interrupted = false;
    while (true) {
      try {
        part.get();
        break;
      } catch (InterruptedException e) {
        interrupted = true;
      } catch (ExecutionException e) {
        if (e.getCause() instanceof NativeException failure) {
          throw failure;
        }
        throw new IllegalStateException("a kernel failed", e.getCause());
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
