package org.ftcluster.worker.bench;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.ftcluster.worker.collective.CollectiveListener;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.collective.Communicator.ElementType;
import org.ftcluster.worker.collective.Communicator.ReduceOp;
import org.ftcluster.worker.collective.TcpCommunicator;
import org.ftcluster.worker.parallel.Machine;

/**
 * What sending costs ranks of this process that compute in between, over loopback: how much longer
 * the same work takes where they gather and scatter after each piece of it than where they only
 * wait for each other, as ranks of {@link ComputeRates} do. What a call takes by itself is
 * something else where ranks share cores: threads that wait for each other make room, and those of
 * other groups are in the way.
 */
final class LinkRates implements AutoCloseable {
  private static final Duration TIMEOUT = Duration.ofMinutes(2);
  private static final byte[] SECRET = "benchmark".getBytes(StandardCharsets.UTF_8);

  /** What a piece of work goes over: as much as a core's own cache holds, about. */
  private static final int WORK_FLOATS = 1 << 18;

  private static final int WARM_UP_PASSES = 3000;
  private static final int WARM_UP_CALLS = 3000;
  private static final int CALLS = 40;
  private static final long BYTES_A_ROUND = 32 << 20;
  private static final long SMALL_BYTES = 1 << 10;
  private static final double LEAST_SECONDS = 1e-9;

  private final int groupSize;
  private final long bytes;
  private final List<CyclicBarrier> meetings;
  private final CyclicBarrier everybody;

  /** Of a piece of work. */
  private final int passes;

  private final RankThreads threads;
  private final List<Links> links;

  /**
   * Connects them.
   *
   * @param ranks that are at it at once
   * @param groupSize how many of them gather and scatter together
   * @param sockets between two ranks
   * @param bytes of what is gathered and scattered
   * @param work that each rank does in between
   */
  LinkRates(int ranks, int groupSize, int sockets, long bytes, Duration work) {
    this.groupSize = groupSize;
    this.bytes = bytes;
    this.meetings =
        IntStream.range(0, ranks / groupSize)
            .mapToObj(group -> new CyclicBarrier(groupSize))
            .toList();
    this.everybody = new CyclicBarrier(ranks);
    this.passes = passes(work);
    this.threads = new RankThreads(ranks);
    List<CollectiveListener> listeners =
        IntStream.range(0, ranks).mapToObj(rank -> TcpCommunicator.listen("127.0.0.1")).toList();
    List<InetSocketAddress> peers = listeners.stream().map(CollectiveListener::address).toList();
    this.links =
        threads.start(
            rank ->
                Links.of(
                    listeners.get(rank).connect(rank, peers, 1, SECRET, sockets, TIMEOUT),
                    groupSize,
                    bytes));
    threads.run(
        rank -> {
          for (int i = 0; i < WARM_UP_CALLS; i++) {
            links.get(rank).small().call(i);
          }
          links.get(rank).large().call(0);
          links.get(rank).large().call(1);
          return null;
        });
  }

  /**
   * What an exchange takes, in seconds, of which each rank's message to the next is a part.
   *
   * @param small of few bytes
   * @param large of as many as were asked for
   */
  record Exchanges(double small, double large) {}

  /** Measures them once. */
  Exchanges measure() {
    List<Exchanges> measured = threads.run(this::measure);
    return new Exchanges(
        measured.stream().mapToDouble(Exchanges::small).average().orElseThrow(),
        measured.stream().mapToDouble(Exchanges::large).average().orElseThrow());
  }

  private Exchanges measure(int rank) throws Exception {
    Links mine = links.get(rank);
    CyclicBarrier meeting = meetings.get(rank / groupSize);
    double waiting =
        seconds(mine, CALLS, call -> meeting.await(TIMEOUT.toSeconds(), TimeUnit.SECONDS));
    // As many that scatter as that gather.
    int largeCalls = 2 * Math.clamp(BYTES_A_ROUND / bytes / 2, 2, CALLS / 2);
    return new Exchanges(
        seconds(mine, CALLS, mine.small()::call) - waiting,
        seconds(mine, largeCalls, mine.large()::call) - waiting);
  }

  /** The link by which they take so long. */
  Machine.Link link(Exchanges seconds) {
    // Messages that go one after the other.
    int turns = groupSize - 1;
    double each = Math.max(LEAST_SECONDS, seconds.large() / turns);
    double latency = Math.clamp(seconds.small() / turns, 0, each / 2);
    return new Machine.Link((double) bytes / groupSize / (each - latency), latency);
  }

  @Override
  public void close() {
    threads.end(links);
  }

  /** A rank's connections. */
  private record Links(Communicator all, Arena arena, Calls small, Calls large, float[] work)
      implements AutoCloseable {
    static Links of(Communicator all, int groupSize, long bytes) {
      int first = all.rank() / groupSize * groupSize;
      List<Integer> ranks = IntStream.range(first, first + groupSize).boxed().toList();
      Communicator group = groupSize == all.size() ? all : all.group("links" + first, ranks);
      Arena arena = Arena.ofShared();
      return new Links(
          all,
          arena,
          new Calls(group, arena, SMALL_BYTES),
          new Calls(group, arena, bytes),
          new float[WORK_FLOATS]);
    }

    @Override
    public void close() {
      all.close();
      arena.close();
    }
  }

  private interface Exchange {
    void call(int number) throws Exception;
  }

  /** Seconds for work and an exchange. */
  private double seconds(Links mine, int calls, Exchange exchange) throws Exception {
    everybody.await(TIMEOUT.toSeconds(), TimeUnit.SECONDS);
    long startNs = System.nanoTime();
    for (int i = 0; i < calls; i++) {
      work(mine.work(), passes);
      exchange.call(i);
    }
    return (System.nanoTime() - startNs) / 1e9 / calls;
  }

  /** A group's buffers, gathered and scattered in turns. */
  private static final class Calls {
    private final Communicator group;
    private final MemorySegment whole;
    private final MemorySegment part;

    Calls(Communicator group, Arena arena, long bytes) {
      long unit = (long) group.size() * Long.BYTES;
      long size = Math.ceilDiv(bytes, unit) * unit;
      this.group = group;
      this.whole = arena.allocate(size, 64);
      this.part = arena.allocate(size / group.size(), 64);
    }

    void call(int number) {
      if (number % 2 == 0) {
        group.reduceScatter(whole, part, ElementType.FLOAT32, ReduceOp.SUM).await(TIMEOUT);
      } else {
        group.allGather(part, whole).await(TIMEOUT);
      }
    }
  }

  /** As many take about that long, while nobody else works. */
  private static int passes(Duration work) {
    float[] floats = new float[WORK_FLOATS];
    work(floats, WARM_UP_PASSES);
    long startNs = System.nanoTime();
    work(floats, WARM_UP_PASSES);
    double passNs = (System.nanoTime() - startNs) / (double) WARM_UP_PASSES;
    return Math.max(1, (int) (work.toNanos() / passNs));
  }

  private static void work(float[] floats, int passes) {
    for (int pass = 0; pass < passes; pass++) {
      for (int i = 0; i < floats.length; i++) {
        floats[i] = floats[i] * 0.5f + 1;
      }
    }
  }
}
