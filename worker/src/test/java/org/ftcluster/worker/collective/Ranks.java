package org.ftcluster.worker.collective;

import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** The ranks of a generation as threads of this JVM, over loopback. */
public final class Ranks {
  /** Far beyond what any test needs: reaching it means that something hangs. */
  public static final Duration LIMIT = Duration.ofSeconds(60);

  static final byte[] SECRET = "secret".getBytes(StandardCharsets.UTF_8);

  private Ranks() {}

  /** What one rank does. */
  public interface Body<T> {
    T run(Communicator communicator) throws Exception;
  }

  /** Runs {@code body} as every rank of {@code size}; returns their results by rank. */
  public static <T> List<T> run(int size, Body<T> body) throws Exception {
    return run(size, 1, body);
  }

  /** The same, with so many sockets between two ranks. */
  static <T> List<T> run(int size, int sockets, Body<T> body) throws Exception {
    return run(listeners(size), sockets, body);
  }

  /** The same, where ranks listen. */
  public static <T> List<T> run(List<CollectiveListener> listeners, int sockets, Body<T> body)
      throws Exception {
    int size = listeners.size();
    List<InetSocketAddress> peers = listeners.stream().map(CollectiveListener::address).toList();
    List<Callable<T>> ranks = new ArrayList<>();
    for (int r = 0; r < size; r++) {
      int rank = r;
      ranks.add(
          () -> {
            try (Communicator communicator =
                listeners.get(rank).connect(rank, peers, 1, SECRET, sockets, LIMIT)) {
              return body.run(communicator);
            }
          });
    }
    return together(ranks);
  }

  static List<CollectiveListener> listeners(int size) {
    List<CollectiveListener> listeners = new ArrayList<>();
    for (int rank = 0; rank < size; rank++) {
      listeners.add(TcpCommunicator.listen("127.0.0.1"));
    }
    return listeners;
  }

  /** Runs all at the same time; rethrows what the first of them threw. */
  static <T> List<T> together(List<Callable<T>> bodies) throws Exception {
    List<FutureTask<T>> tasks = bodies.stream().map(FutureTask::new).toList();
    tasks.forEach(task -> Thread.ofPlatform().daemon().start(task));
    List<T> results = new ArrayList<>();
    for (FutureTask<T> task : tasks) {
      results.add(result(task));
    }
    return results;
  }

  private static <T> T result(FutureTask<T> task) throws Exception {
    try {
      return task.get(LIMIT.toSeconds() * 2, TimeUnit.SECONDS);
    } catch (ExecutionException e) {
      switch (e.getCause()) {
        case Exception cause -> throw cause;
        case Error cause -> throw cause;
        default -> throw e;
      }
    } catch (TimeoutException e) {
      throw new AssertionError("a rank hangs", e);
    }
  }
}
