package org.ftcluster.worker.collective.nccl;

import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import org.ftcluster.worker.collective.CollectiveException;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.collective.Work;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Collectives among GPUs, on buffers in their memory, by NVIDIA's NCCL. A group, a background, and
 * each direction of messages between neighbours has a {@link Channel} of its own, so that none
 * waits for another. Channels take memory of the GPU's, so one is made when it is first needed: all
 * ranks of a group meet at their first collective, and at their first message, or when they are
 * told to ({@link #meetNeighbours}); those of a background, and of its groups, when these are made,
 * since they don't come to their first collective at the same time.
 *
 * <p>A generation's ranks meet over a communicator of its own among their hosts, which carries
 * NCCL's ids and notices a rank that is lost: NCCL would wait for it for ever, and is aborted.
 * Nothing of NCCL is called that waits: it is asked, until a deadline, whether it is done.
 *
 * <p>Messages go to neighbours only, where the last rank's is the first.
 *
 * <p>For one thread, but for {@link #abort}.
 */
public final class NcclCommunicator implements Communicator {
  private static final Logger log = LoggerFactory.getLogger(NcclCommunicator.class);

  private final NcclContext context;
  private final Communicator hosts;

  /** The generation's, this one's among them. */
  private final List<Channel> channels;

  private final Role role;
  private @Nullable Channel collectives;
  private @Nullable Neighbours neighbours;

  /** Of a generation; null before it is first asked for. */
  private @Nullable NcclCommunicator background;

  private enum Role {
    GENERATION,
    GROUP,
    BACKGROUND
  }

  private NcclCommunicator(
      NcclContext context, Communicator hosts, List<Channel> channels, Role role) {
    this.context = context;
    this.hosts = hosts;
    this.channels = channels;
    this.role = role;
  }

  /** Why this machine can't; empty where it has what it takes. */
  public static String missing() {
    if (NcclLibrary.open().isEmpty()) {
      return NcclLibrary.MISSING;
    }
    return CudaRuntime.open().isEmpty() ? CudaRuntime.MISSING : "";
  }

  /**
   * The ranks of a generation; they connect when they first have something to do.
   *
   * @param hosts the same ranks over TCP; aborted together with this, and closed with it
   * @param device this rank's GPU
   * @param callersStream the CUDA stream that buffers are written and read on
   * @param deadline for NCCL to connect, and to take a call
   * @throws CollectiveException when there is no NCCL or CUDA
   */
  public static NcclCommunicator connect(
      Communicator hosts, int device, MemorySegment callersStream, Duration deadline) {
    NcclContext context =
        new NcclContext(
            NcclLibrary.open().orElseThrow(() -> new CollectiveException(NcclLibrary.MISSING)),
            CudaRuntime.open().orElseThrow(() -> new CollectiveException(CudaRuntime.MISSING)),
            device,
            callersStream,
            hosts,
            deadline);
    return new NcclCommunicator(context, hosts, new CopyOnWriteArrayList<>(), Role.GENERATION);
  }

  @Override
  public int rank() {
    return hosts.rank();
  }

  @Override
  public int size() {
    return hosts.size();
  }

  /** The same ranks over TCP. */
  Communicator hosts() {
    return hosts;
  }

  @Override
  public NcclCommunicator group(String name, List<Integer> ranks) {
    Communicator members = hosts.group(name, ranks);
    return role == Role.BACKGROUND
        ? inBackground(members)
        : new NcclCommunicator(context, members, channels, Role.GROUP);
  }

  /** One, for buffers of GPUs' and for what is {@link StagedCommunicator staged} there. */
  @Override
  public NcclCommunicator background() {
    NcclCommunicator made = background;
    if (made == null) {
      made = inBackground(hosts.background());
      background = made;
    }
    return made;
  }

  private NcclCommunicator inBackground(Communicator members) {
    var made = new NcclCommunicator(context, members, channels, Role.BACKGROUND);
    if (members.size() > 1) {
      made.collectives();
    }
    return made;
  }

  @Override
  public boolean isForAnyThread() {
    return false;
  }

  @Override
  public Work allReduce(MemorySegment buffer, ElementType type, ReduceOp op) {
    return collectives()
        .submit(
            "an all-reduce",
            (comm, stream) -> context.nccl().allReduce(buffer, type, op, comm, stream));
  }

  @Override
  public Work reduce(MemorySegment buffer, ElementType type, ReduceOp op, int root) {
    return collectives()
        .submit(
            "a reduction",
            (comm, stream) -> context.nccl().reduce(buffer, type, op, root, comm, stream));
  }

  @Override
  public Work reduceScatter(
      MemorySegment input, MemorySegment output, ElementType type, ReduceOp op) {
    return collectives()
        .submit(
            "a reduce-scatter",
            (comm, stream) -> context.nccl().reduceScatter(input, output, type, op, comm, stream));
  }

  @Override
  public Work allGather(MemorySegment input, MemorySegment output) {
    return collectives()
        .submit(
            "an all-gather",
            (comm, stream) -> context.nccl().allGather(input, output, comm, stream));
  }

  @Override
  public Work broadcast(MemorySegment buffer, int root) {
    return collectives()
        .submit(
            "a broadcast", (comm, stream) -> context.nccl().broadcast(buffer, root, comm, stream));
  }

  @Override
  public void meetNeighbours() {
    if (size() > 1) {
      neighbours();
    }
  }

  @Override
  public Work send(MemorySegment buffer, int peer) {
    return neighbours().send(buffer, peer);
  }

  @Override
  public Work recv(MemorySegment buffer, int peer) {
    return neighbours().recv(buffer, peer);
  }

  private Channel collectives() {
    Channel connected = collectives;
    if (connected == null) {
      connected = Channel.begin(context, Ids.ofFirst(context, hosts), hosts.rank(), hosts.size());
      channels.add(connected);
      collectives = connected;
    }
    return connected;
  }

  private Neighbours neighbours() {
    Neighbours connected = neighbours;
    if (connected == null) {
      connected = new Neighbours(context, hosts);
      channels.addAll(connected.channels());
      neighbours = connected;
    }
    return connected;
  }

  @Override
  public Work barrier() {
    return hosts.barrier();
  }

  @Override
  public void check() {
    hosts.check();
  }

  @Override
  public void abort(String why) {
    hosts.abort(why);
    channels.forEach(channel -> channel.abort(why));
  }

  @Override
  public void close() {
    if (role != Role.GENERATION) {
      return;
    }
    awaitOthers();
    channels.forEach(Channel::close);
    hosts.close();
  }

  /** They may still be reading what NCCL has in this GPU's memory. */
  private void awaitOthers() {
    try {
      hosts.barrier().await(context.deadline());
    } catch (CollectiveException e) {
      log.debug("closed without the others: {}", e.getMessage());
    }
  }
}
