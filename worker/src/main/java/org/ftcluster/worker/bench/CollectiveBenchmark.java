package org.ftcluster.worker.bench;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Consumer;
import org.ftcluster.worker.collective.CollectiveListener;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.collective.Communicator.ElementType;
import org.ftcluster.worker.collective.Communicator.ReduceOp;
import org.ftcluster.worker.collective.TcpCommunicator;

/**
 * Times the collectives among ranks of this process over loopback, beside one plain stream of bytes
 * between two sockets of it.
 */
public final class CollectiveBenchmark {
  private static final Duration TIMEOUT = Duration.ofMinutes(2);
  private static final byte[] SECRET = "benchmark".getBytes(StandardCharsets.UTF_8);
  private static final int STREAM_BUFFER_BYTES = 1 << 20;
  private static final int WARM_UP_CALLS = 3000;
  private static final long WARM_UP_BYTES = 32 << 10;

  /** What is timed. */
  public enum Kind {
    ALL_REDUCE,
    REDUCE_SCATTER,
    ALL_GATHER,
    BROADCAST;

    /** As people write it. */
    public String word() {
      return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }

    /** Bytes that each rank sends, as a share of the buffer's. */
    private double traffic(int ranks) {
      return switch (this) {
        case ALL_REDUCE -> 2.0 * (ranks - 1) / ranks;
        case REDUCE_SCATTER, ALL_GATHER -> (ranks - 1.0) / ranks;
        // All but the last one in the ring.
        case BROADCAST -> 1;
      };
    }
  }

  /**
   * One measurement.
   *
   * @param bytes of the whole buffer
   * @param seconds of the median call
   * @param busGigabytesPerSecond what each rank sends while it receives as much
   * @param sharePercent of what the plain stream moves, all ranks together
   */
  public record Line(
      Kind kind,
      int ranks,
      long bytes,
      double seconds,
      double busGigabytesPerSecond,
      double sharePercent) {}

  private CollectiveBenchmark() {}

  /**
   * Bytes a second between two sockets of this process, each with a thread of its own, in the
   * fastest of a few runs.
   *
   * @param bytes that a run sends
   */
  public static double stream(long bytes) {
    double best = 0;
    for (int run = 0; run < 3; run++) {
      best = Math.max(best, bytes / streamOnce(bytes));
    }
    return best;
  }

  private static double streamOnce(long bytes) {
    try (ServerSocketChannel server = ServerSocketChannel.open()) {
      server.bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0));
      InetSocketAddress address = (InetSocketAddress) server.getLocalAddress();
      long startNs = System.nanoTime();
      together(
          List.of(
              () -> {
                try (SocketChannel out = SocketChannel.open(address)) {
                  ByteBuffer buffer = ByteBuffer.allocateDirect(STREAM_BUFFER_BYTES);
                  for (long sent = 0; sent < bytes; ) {
                    buffer.clear().limit((int) Math.min(buffer.capacity(), bytes - sent));
                    sent += out.write(buffer);
                  }
                }
                return null;
              },
              () -> {
                try (SocketChannel in = server.accept()) {
                  ByteBuffer buffer = ByteBuffer.allocateDirect(STREAM_BUFFER_BYTES);
                  while (in.read(buffer) >= 0) {
                    buffer.clear();
                  }
                }
                return null;
              }));
      return (System.nanoTime() - startNs) / 1e9;
    } catch (IOException e) {
      throw new IllegalStateException("loopback can't be used: " + e.getMessage(), e);
    }
  }

  /** Times collectives of that many ranks, one after the other. */
  public static void run(
      List<Kind> kinds,
      int ranks,
      int sockets,
      List<Long> sizes,
      double stream,
      Consumer<Line> lines) {
    run(kinds, ranks, sockets, sizes, Duration.ZERO, stream, lines);
  }

  /**
   * Times collectives of that many ranks.
   *
   * @param sockets between two ranks
   * @param sizes of buffers, in bytes; rounded up to what ranks can share out
   * @param work that each rank does before each call, after which threads that send have to be
   *     woken; what ranks wait for others meanwhile doesn't count
   * @param stream bytes a second of a plain stream
   * @param lines hears of each measurement as it is made
   */
  static void run(
      List<Kind> kinds,
      int ranks,
      int sockets,
      List<Long> sizes,
      Duration work,
      double stream,
      Consumer<Line> lines) {
    List<CollectiveListener> listeners = new ArrayList<>();
    for (int rank = 0; rank < ranks; rank++) {
      listeners.add(TcpCommunicator.listen("127.0.0.1"));
    }
    List<InetSocketAddress> peers = listeners.stream().map(CollectiveListener::address).toList();
    List<Callable<Void>> bodies = new ArrayList<>();
    for (int r = 0; r < ranks; r++) {
      int rank = r;
      bodies.add(
          () -> {
            try (Communicator all =
                listeners.get(rank).connect(rank, peers, 1, SECRET, sockets, TIMEOUT)) {
              for (Kind kind : kinds) {
                warmUp(kind, all);
              }
              for (Kind kind : kinds) {
                for (long size : sizes) {
                  Line line = time(kind, all, size, work, stream);
                  if (rank == 0) {
                    lines.accept(line);
                  }
                }
              }
            }
            return null;
          });
    }
    together(bodies);
  }

  /** Calls in which code is compiled. */
  private static void warmUp(Kind kind, Communicator all) {
    try (Arena arena = Arena.ofShared()) {
      MemorySegment whole = arena.allocate(WARM_UP_BYTES * all.size(), 64);
      MemorySegment part = arena.allocate(WARM_UP_BYTES, 64);
      for (int i = 0; i < WARM_UP_CALLS; i++) {
        call(kind, all, whole, part);
      }
    }
  }

  private static Line time(Kind kind, Communicator all, long size, Duration work, double stream) {
    int ranks = all.size();
    long unit = (long) ranks * Long.BYTES;
    long bytes = Math.ceilDiv(size, unit) * unit;
    try (Arena arena = Arena.ofShared()) {
      MemorySegment whole = arena.allocate(bytes, 64);
      MemorySegment part = arena.allocate(bytes / ranks, 64);
      // As often for all ranks: about as many bytes for each size, within bounds.
      int calls = (int) Math.clamp((256L << 20) / bytes, 3, 200);
      call(kind, all, whole, part);
      List<Double> seconds = new ArrayList<>();
      for (int i = 0; i < calls; i++) {
        if (work.isZero()) {
          all.barrier().await(TIMEOUT);
        }
        work(work);
        long startNs = System.nanoTime();
        call(kind, all, whole, part);
        seconds.add((System.nanoTime() - startNs) / 1e9);
      }
      // Who comes last waits for none.
      double median = median(all, seconds, !work.isZero());
      double bus = kind.traffic(ranks) * bytes / median;
      int senders = kind == Kind.BROADCAST ? ranks - 1 : ranks;
      return new Line(kind, ranks, bytes, median, bus / 1e9, 100 * bus * senders / stream);
    }
  }

  private static void work(Duration work) {
    for (long startNs = System.nanoTime(); System.nanoTime() - startNs < work.toNanos(); ) {
      Thread.onSpinWait();
    }
  }

  /** Of the slowest rank in each call, or of the fastest. */
  private static double median(Communicator all, List<Double> seconds, boolean ofFastest) {
    // There is no least among ranks; it is the most of what is negative.
    int sign = ofFastest ? -1 : 1;
    try (Arena arena = Arena.ofShared()) {
      MemorySegment calls = arena.allocate(ValueLayout.JAVA_DOUBLE, seconds.size());
      for (int i = 0; i < seconds.size(); i++) {
        calls.setAtIndex(ValueLayout.JAVA_DOUBLE, i, sign * seconds.get(i));
      }
      all.allReduce(calls, ElementType.FLOAT64, ReduceOp.MAX).await(TIMEOUT);
      double[] sorted = calls.toArray(ValueLayout.JAVA_DOUBLE);
      Arrays.sort(sorted);
      return sign * sorted[sorted.length / 2];
    }
  }

  private static void call(Kind kind, Communicator all, MemorySegment whole, MemorySegment part) {
    switch (kind) {
      case ALL_REDUCE -> all.allReduce(whole, ElementType.FLOAT32, ReduceOp.SUM).await(TIMEOUT);
      case REDUCE_SCATTER ->
          all.reduceScatter(whole, part, ElementType.FLOAT32, ReduceOp.SUM).await(TIMEOUT);
      case ALL_GATHER -> all.allGather(part, whole).await(TIMEOUT);
      case BROADCAST -> all.broadcast(whole, 0).await(TIMEOUT);
    }
  }

  private static void together(List<Callable<Void>> bodies) {
    try (ExecutorService threads =
        Executors.newFixedThreadPool(
            bodies.size(), Thread.ofPlatform().daemon().name("bench-", 0).factory())) {
      List<Future<Void>> running = bodies.stream().map(threads::submit).toList();
      for (Future<Void> body : running) {
        body.get(TIMEOUT.toSeconds() * 10, TimeUnit.SECONDS);
      }
    } catch (ExecutionException e) {
      throw new IllegalStateException("a rank failed: " + e.getCause().getMessage(), e.getCause());
    } catch (TimeoutException e) {
      throw new IllegalStateException("a rank hangs", e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted", e);
    }
  }
}
