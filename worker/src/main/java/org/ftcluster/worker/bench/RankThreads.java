package org.ftcluster.worker.bench;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.ftcluster.protocol.job.BadJobException;
import org.jspecify.annotations.Nullable;

/** Ranks of this process: each has a thread of its own, on which all that it does is done. */
final class RankThreads implements AutoCloseable {
  private static final long LIMIT_MINUTES = 20;
  private static final long CLOSING_SECONDS = 60;

  private final List<ExecutorService> threads = new ArrayList<>();

  /** What a rank does. */
  interface Body<T> {
    T run(int rank) throws Exception;
  }

  RankThreads(int ranks) {
    for (int rank = 0; rank < ranks; rank++) {
      threads.add(
          Executors.newSingleThreadExecutor(
              Thread.ofPlatform().daemon().name("bench-rank-" + rank).factory()));
    }
  }

  /** Runs it on all ranks at once, and returns what it comes to, by rank. */
  <T> List<T> run(Body<T> body) {
    return run(threads.size(), body);
  }

  /**
   * Runs it on the first ranks at once; the first failure counts.
   *
   * @throws BadJobException when that is what a rank found
   */
  <T> List<T> run(int ranks, Body<T> body) {
    var ended = new LinkedBlockingQueue<Integer>();
    List<Future<T>> running = new ArrayList<>();
    for (int r = 0; r < ranks; r++) {
      int rank = r;
      running.add(
          threads
              .get(rank)
              .submit(
                  () -> {
                    try {
                      return body.run(rank);
                    } finally {
                      ended.add(rank);
                    }
                  }));
    }
    try {
      for (int i = 0; i < ranks; i++) {
        Integer rank = ended.poll(LIMIT_MINUTES, TimeUnit.MINUTES);
        if (rank == null) {
          throw new IllegalStateException("a rank hangs");
        }
        running.get(rank).get();
      }
      List<T> results = new ArrayList<>();
      for (Future<T> rank : running) {
        results.add(rank.get());
      }
      return results;
    } catch (ExecutionException e) {
      if (e.getCause() instanceof BadJobException wrong) {
        throw wrong;
      }
      throw new IllegalStateException("a rank failed: " + e.getCause().getMessage(), e.getCause());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted", e);
    }
  }

  /**
   * Makes what each rank has, by rank. Where one of them can't, that of the others goes, and the
   * threads end.
   */
  <T extends AutoCloseable> List<T> start(Body<T> maker) {
    Map<Integer, T> made = new ConcurrentHashMap<>();
    try {
      return run(
          rank -> {
            T each = maker.run(rank);
            made.put(rank, each);
            return each;
          });
    } catch (RuntimeException e) {
      try (this) {
        run(rank -> closed(made.get(rank)));
      } catch (RuntimeException more) {
        e.addSuppressed(more);
      }
      throw e;
    }
  }

  /** Closes what each rank has, and ends the threads. */
  void end(List<? extends AutoCloseable> ofRanks) {
    try (this) {
      run(rank -> closed(ofRanks.get(rank)));
    }
  }

  private static boolean closed(@Nullable AutoCloseable ofRank) throws Exception {
    if (ofRank != null) {
      ofRank.close();
    }
    return true;
  }

  /** Ends the threads, once what runs on them has ended. */
  @Override
  public void close() {
    threads.forEach(ExecutorService::shutdown);
    try {
      for (ExecutorService thread : threads) {
        if (!thread.awaitTermination(CLOSING_SECONDS, TimeUnit.SECONDS)) {
          throw new IllegalStateException("a rank hangs");
        }
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
