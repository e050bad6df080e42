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
import java.util.List;
import java.util.Locale;
import java.util.function.Consumer;
import org.ftcluster.protocol.security.Protection;
import org.ftcluster.worker.collective.CollectiveListener;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.collective.Communicator.ElementType;
import org.ftcluster.worker.collective.Communicator.ReduceOp;
import org.ftcluster.worker.collective.ListenAddress;
import org.ftcluster.worker.collective.TcpCommunicator;

/**
 * Times the collectives among ranks of this process over loopback, beside one plain stream of bytes
 * between two sockets of it.
 */
public final class CollectiveBenchmark {
  private static final Duration TIMEOUT = Duration.ofMinutes(2);
  private static final String HOST = "127.0.0.1";
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
    try (ServerSocketChannel server = ServerSocketChannel.open();
        RankThreads threads = new RankThreads(2)) {
      server.bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0));
      InetSocketAddress address = (InetSocketAddress) server.getLocalAddress();
      long startNs = System.nanoTime();
      threads.run(
          rank -> {
            if (rank == 0) {
              send(address, bytes);
            } else {
              receive(server);
            }
            return null;
          });
      return (System.nanoTime() - startNs) / 1e9;
    } catch (IOException e) {
      throw new IllegalStateException("loopback can't be used: " + e.getMessage(), e);
    }
  }

  private static void send(InetSocketAddress address, long bytes) throws IOException {
    try (SocketChannel out = SocketChannel.open(address)) {
      ByteBuffer buffer = ByteBuffer.allocateDirect(STREAM_BUFFER_BYTES);
      for (long sent = 0; sent < bytes; ) {
        buffer.clear().limit((int) Math.min(buffer.capacity(), bytes - sent));
        sent += out.write(buffer);
      }
    }
  }

  private static void receive(ServerSocketChannel server) throws IOException {
    try (SocketChannel in = server.accept()) {
      ByteBuffer buffer = ByteBuffer.allocateDirect(STREAM_BUFFER_BYTES);
      while (in.read(buffer) >= 0) {
        buffer.clear();
      }
    }
  }

  /**
   * Times collectives of that many ranks, one after the other.
   *
   * @param sockets between two ranks
   * @param protection of them
   * @param sizes of buffers, in bytes; rounded up to what ranks can share out
   * @param stream bytes a second of a plain stream
   * @param lines hears of each measurement as it is made
   */
  public static void run(
      List<Kind> kinds,
      int ranks,
      int sockets,
      Protection protection,
      List<Long> sizes,
      double stream,
      Consumer<Line> lines) {
    List<CollectiveListener> listeners = new ArrayList<>();
    for (int rank = 0; rank < ranks; rank++) {
      listeners.add(TcpCommunicator.listen(new ListenAddress(HOST, 0, HOST, protection)));
    }
    List<InetSocketAddress> peers = listeners.stream().map(CollectiveListener::address).toList();
    try (RankThreads threads = new RankThreads(ranks)) {
      threads.run(
          rank -> {
            try (Communicator all =
                listeners.get(rank).connect(rank, peers, 1, SECRET, sockets, TIMEOUT)) {
              for (Kind kind : kinds) {
                warmUp(kind, all);
              }
              for (Kind kind : kinds) {
                for (long size : sizes) {
                  Line line = time(kind, all, size, stream);
                  if (rank == 0) {
                    lines.accept(line);
                  }
                }
              }
            }
            return null;
          });
    }
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

  private static Line time(Kind kind, Communicator all, long size, double stream) {
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
        all.barrier().await(TIMEOUT);
        long startNs = System.nanoTime();
        call(kind, all, whole, part);
        seconds.add((System.nanoTime() - startNs) / 1e9);
      }
      double median = medianOfSlowest(all, seconds);
      double bus = kind.traffic(ranks) * bytes / median;
      int senders = kind == Kind.BROADCAST ? ranks - 1 : ranks;
      return new Line(kind, ranks, bytes, median, bus / 1e9, 100 * bus * senders / stream);
    }
  }

  private static double medianOfSlowest(Communicator all, List<Double> seconds) {
    try (Arena arena = Arena.ofShared()) {
      MemorySegment calls = arena.allocate(ValueLayout.JAVA_DOUBLE, seconds.size());
      for (int i = 0; i < seconds.size(); i++) {
        calls.setAtIndex(ValueLayout.JAVA_DOUBLE, i, seconds.get(i));
      }
      all.allReduce(calls, ElementType.FLOAT64, ReduceOp.MAX).await(TIMEOUT);
      return Medians.of(calls.toArray(ValueLayout.JAVA_DOUBLE));
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
}
