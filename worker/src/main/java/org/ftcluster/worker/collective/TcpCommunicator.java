package org.ftcluster.worker.collective;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.IntStream;
import org.ftcluster.worker.collective.Header.Kind;
import org.jspecify.annotations.Nullable;

/**
 * Collectives over TCP, for CPU ranks: every pair of ranks is connected, reductions and broadcasts
 * go around a ring, small all-reduces along a tree, and an I/O thread moves bytes between sockets
 * and the callers' own off-heap buffers. The {@link #background} has another one, and other
 * sockets.
 *
 * <p>Collectives run one after the other in the order of the calls. Messages between two ranks
 * overlap with each other in both directions, so that two ranks may both {@link #send} before they
 * {@link #recv}. A {@link #send} is done when the operating system has taken its bytes.
 *
 * <p>A group shares the connections and the thread of its generation, and ends with it. What
 * several groups of a rank do is done in the order of its calls, so ranks call what they have in
 * common in an order that fits together, and wait for a collective before they call one of another
 * group.
 *
 * <p>A generation of one rank needs no sockets.
 *
 * <p>Any thread may call; calls that must be in the same order on all ranks come best from one.
 */
public final class TcpCommunicator implements Communicator {
  /** What fits into a {@link Header} beside everything else. */
  private static final int MAX_GROUP_NAME = 24;

  private final Engine engine;

  /** The generation's other one; null for groups, and for the background itself. */
  private final @Nullable Engine background;

  private final String group;
  private final List<Integer> members;
  private final int rank;
  private final int size;
  private final @Nullable Paths paths;
  private final AtomicLong sequence = new AtomicLong();

  private TcpCommunicator(
      Engine engine, @Nullable Engine background, String group, List<Integer> members) {
    this.engine = engine;
    this.background = background;
    this.group = group;
    this.members = List.copyOf(members);
    this.rank = members.indexOf(engine.rank());
    this.size = members.size();
    this.paths =
        size == 1
            ? null
            : new Paths(new Ring(engine, this.members), new Tree(engine, this.members));
  }

  /**
   * A generation, as one of its ranks.
   *
   * @param links to every other rank, as often as {@link Membership#LINKS} says
   */
  static TcpCommunicator over(List<List<Link>> links, int rank, int size, long generation)
      throws IOException {
    String name = "collective-g%d-r%d".formatted(generation, rank);
    Engine engine = new Engine(rank, name, links.getFirst());
    Engine background = new Engine(rank, name + "-background", links.getLast());
    engine.start(background);
    background.start(engine);
    return new TcpCommunicator(engine, background, "", IntStream.range(0, size).boxed().toList());
  }

  @Override
  public Communicator background() {
    if (background == null) {
      throw new IllegalStateException("only a generation has a background");
    }
    return new TcpCommunicator(background, null, "", members);
  }

  @Override
  public Communicator group(String name, List<Integer> ranks) {
    if (ranks.stream().distinct().count() != ranks.size()
        || !members.containsAll(ranks.stream().map(this::member).toList())
        || !ranks.contains(rank)) {
      throw new IllegalArgumentException(
          "rank %d of %d can't have the group %s of %s".formatted(rank, size, name, ranks));
    }
    String path = group.isEmpty() ? name : group + "." + name;
    if (name.isEmpty() || path.length() > MAX_GROUP_NAME) {
      throw new IllegalArgumentException("a group's name is short, not " + path);
    }
    return new TcpCommunicator(engine, null, path, ranks.stream().map(this::member).toList());
  }

  private int member(int rank) {
    return rank >= 0 && rank < size ? members.get(rank) : -1;
  }

  /** As {@link #listen(ListenAddress)}, on any free port of an address of loopback. */
  public static CollectiveListener listen(String host) {
    return listen(ListenAddress.on(host));
  }

  /**
   * Opens a port for the other ranks of a generation to connect to.
   *
   * @throws CollectiveException when this machine has no such address, or the port is taken
   */
  public static CollectiveListener listen(ListenAddress address) {
    return CollectiveListener.open(address);
  }

  @Override
  public int rank() {
    return rank;
  }

  @Override
  public int size() {
    return size;
  }

  @Override
  public boolean encryptsBetweenMachines() {
    return engine.encryptsBetweenMachines();
  }

  @Override
  public boolean isForAnyThread() {
    return true;
  }

  @Override
  public Work allReduce(MemorySegment buffer, ElementType type, ReduceOp op) {
    check(buffer, type.bytes());
    Header header = collective(Kind.ALL_REDUCE, type, op, -1, buffer.byteSize());
    return submit(header, () -> {}, paths -> paths.allReduce(header, buffer, type, op));
  }

  @Override
  public Work reduce(MemorySegment buffer, ElementType type, ReduceOp op, int root) {
    check(buffer, type.bytes());
    checkRoot(root);
    Header header = collective(Kind.REDUCE, type, op, root, buffer.byteSize());
    return submit(header, () -> {}, paths -> paths.ring().reduce(header, buffer, type, op, root));
  }

  @Override
  public Work reduceScatter(
      MemorySegment input, MemorySegment output, ElementType type, ReduceOp op) {
    check(input, type.bytes());
    check(output, type.bytes());
    checkParts(input, output);
    Header header = collective(Kind.REDUCE_SCATTER, type, op, -1, input.byteSize());
    return submit(
        header,
        () -> output.copyFrom(input),
        paths -> paths.ring().reduceScatter(header, input, output, type, op));
  }

  @Override
  public Work allGather(MemorySegment input, MemorySegment output) {
    check(input, 1);
    check(output, 1);
    checkParts(output, input);
    Header header = collective(Kind.ALL_GATHER, null, null, -1, input.byteSize());
    return submit(
        header,
        () -> output.copyFrom(input),
        paths -> paths.ring().allGather(header, input, output));
  }

  @Override
  public Work broadcast(MemorySegment buffer, int root) {
    check(buffer, 1);
    checkRoot(root);
    Header header = collective(Kind.BROADCAST, null, null, root, buffer.byteSize());
    return submit(header, () -> {}, paths -> paths.ring().broadcast(header, buffer, root));
  }

  @Override
  public Work barrier() {
    Header header = collective(Kind.BARRIER, null, null, -1, 0);
    return submit(header, () -> {}, paths -> paths.barrier(header));
  }

  @Override
  public Work send(MemorySegment buffer, int peer) {
    check(buffer, 1);
    checkPeer(peer);
    Header header = Header.message(buffer.byteSize());
    return engine.submit(
        new Operation(
            engine,
            header,
            operation -> {
              Link link = engine.link(members.get(peer));
              link.send(Transfer.of(header.encode()));
              link.send(Transfer.of(buffer, operation::succeed));
            }));
  }

  @Override
  public Work recv(MemorySegment buffer, int peer) {
    check(buffer, 1);
    checkPeer(peer);
    Header header = Header.message(buffer.byteSize());
    return engine.submit(
        new Operation(
            engine,
            header,
            operation -> {
              Link link = engine.link(members.get(peer));
              ByteBuffer received = ByteBuffer.allocate(Header.BYTES);
              link.receive(
                  Transfer.of(received, () -> header.check(received.flip(), members.get(peer))));
              link.receive(Transfer.of(buffer, operation::succeed));
            }));
  }

  @Override
  public void check() {
    engine.check();
  }

  @Override
  public void abort(String reason) {
    engine.abort(reason);
  }

  @Override
  public void close() {
    if (background != null) {
      engine.close();
      background.close();
    }
  }

  /** The ways from rank to rank. */
  private record Paths(Ring ring, Tree tree) {
    void allReduce(Header header, MemorySegment buffer, ElementType type, ReduceOp op)
        throws IOException {
      if (Tree.suits(ring.size(), buffer.byteSize())) {
        tree.allReduce(header, buffer, type, op);
      } else {
        ring.allReduce(header, buffer, type, op);
      }
    }

    /** Every rank's word goes into the sum, so nobody has it before all have called. */
    void barrier(Header header) throws IOException {
      allReduce(header, ring.word(), ElementType.INT64, ReduceOp.SUM);
    }
  }

  /** What a collective does where there are other ranks. */
  private interface Together {
    void run(Paths paths) throws IOException;
  }

  private Work submit(Header header, Runnable alone, Together together) {
    return engine.submit(
        new Operation(
            engine,
            header,
            operation -> {
              if (paths == null) {
                alone.run();
              } else {
                together.run(paths);
              }
              operation.succeed();
            }));
  }

  private Header collective(
      Kind kind, @Nullable ElementType type, @Nullable ReduceOp op, int root, long bytes) {
    return new Header(kind, group, type, op, root, sequence.incrementAndGet(), bytes);
  }

  private void check(MemorySegment buffer, int elementBytes) {
    if (!buffer.isNative() || !buffer.isAccessibleBy(engine.thread())) {
      throw new IllegalArgumentException(
          "a buffer of collectives is off-heap and open to all threads, not " + buffer);
    }
    if (buffer.byteSize() % elementBytes != 0) {
      throw new IllegalArgumentException(
          "%d bytes aren't whole elements of %d bytes".formatted(buffer.byteSize(), elementBytes));
    }
  }

  private void checkParts(MemorySegment whole, MemorySegment part) {
    if (whole.byteSize() != part.byteSize() * size) {
      throw new IllegalArgumentException(
          "%d bytes aren't %d parts of %d bytes"
              .formatted(whole.byteSize(), size, part.byteSize()));
    }
  }

  private void checkRoot(int root) {
    if (root < 0 || root >= size) {
      throw new IllegalArgumentException("root %d of %d ranks".formatted(root, size));
    }
  }

  private void checkPeer(int peer) {
    if (peer < 0 || peer >= size || peer == rank) {
      throw new IllegalArgumentException(
          "rank %d of %d has no peer %d".formatted(rank, size, peer));
    }
  }
}
