package org.ftcluster.worker.collective.nccl;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.function.LongSupplier;
import java.util.stream.IntStream;
import org.ftcluster.worker.collective.CollectiveException;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.collective.Work;
import org.jspecify.annotations.Nullable;

/**
 * Collectives among GPUs, on buffers in their memory. Operations run on a stream of their own,
 * after what the caller's stream was given before; who {@link Work#await}s one knows that it is
 * done.
 *
 * <p>A generation's ranks meet over a communicator of its own among their hosts, which tells them
 * NCCL's id and notices a rank that is lost: NCCL's operations would wait for it for ever, and so
 * are aborted with it. Nothing of NCCL is called that waits: it is asked, until a deadline, whether
 * it is done.
 *
 * <p>For one thread, but for {@link #abort}.
 */
public final class NcclCommunicator implements Communicator {
  private static final long POLL_NS = 50_000;

  private final NcclLibrary nccl;
  private final CudaRuntime cuda;
  private final Communicator hosts;
  private final int device;
  private final LongSupplier callersStream;
  private final MemorySegment stream;
  private final Duration deadline;
  private final List<NcclCommunicator> groups = new ArrayList<>();
  private final boolean isGroup;

  /** The background's, once there is one. */
  private @Nullable MemorySegment secondStream;

  /** Guarded by this; null once it is aborted or closed. */
  private @Nullable MemorySegment comm;

  private @Nullable MemorySegment word;
  private String reason = "the communicator is closed";

  private NcclCommunicator(
      NcclLibrary nccl,
      CudaRuntime cuda,
      Communicator hosts,
      int device,
      LongSupplier callersStream,
      MemorySegment stream,
      Duration deadline,
      boolean isGroup,
      MemorySegment comm) {
    this.nccl = nccl;
    this.cuda = cuda;
    this.hosts = hosts;
    this.device = device;
    this.callersStream = callersStream;
    this.stream = stream;
    this.deadline = deadline;
    this.isGroup = isGroup;
    this.comm = comm;
  }

  /** Whether this machine has what it takes. */
  public static boolean isAvailable() {
    return NcclLibrary.open().isPresent() && CudaRuntime.open().isPresent();
  }

  /**
   * Connects the ranks of a generation.
   *
   * @param hosts the same ranks over TCP; closed and aborted together with this
   * @param device this rank's GPU
   * @param callersStream address of the CUDA stream that buffers are written and read on
   * @param deadline for NCCL to connect
   * @throws CollectiveException when there is no NCCL or CUDA, or ranks don't come together
   */
  public static NcclCommunicator connect(
      Communicator hosts, int device, LongSupplier callersStream, Duration deadline) {
    NcclLibrary nccl =
        NcclLibrary.open()
            .orElseThrow(
                () ->
                    new CollectiveException(
                        "there is no libnccl.so.2; %s can name one"
                            .formatted(NcclLibrary.VARIABLE)));
    CudaRuntime cuda =
        CudaRuntime.open()
            .orElseThrow(
                () ->
                    new CollectiveException(
                        "there is no libcudart.so.12; %s can name one"
                            .formatted(CudaRuntime.VARIABLE)));
    cuda.use(device);
    byte[] id = sharedId(nccl, hosts, deadline);
    NcclCommunicator connected =
        new NcclCommunicator(
            nccl,
            cuda,
            hosts,
            device,
            callersStream,
            cuda.newStream(),
            deadline,
            false,
            nccl.begin(id, hosts.rank(), hosts.size()));
    connected.settle("connecting");
    return connected;
  }

  private static byte[] sharedId(NcclLibrary nccl, Communicator hosts, Duration deadline) {
    byte[] own = hosts.rank() == 0 ? nccl.uniqueId() : new byte[0];
    try (Arena arena = Arena.ofShared()) {
      MemorySegment id = arena.allocate(NcclLibrary.ID_BYTES);
      MemorySegment.copy(own, 0, id, ValueLayout.JAVA_BYTE, 0, own.length);
      hosts.broadcast(id, 0).await(deadline);
      return id.toArray(ValueLayout.JAVA_BYTE);
    }
  }

  @Override
  public int rank() {
    return hosts.rank();
  }

  @Override
  public int size() {
    return hosts.size();
  }

  /** All ranks make their groups of that name at the same time, and each is in one of them. */
  @Override
  public Communicator group(String name, List<Integer> ranks) {
    return split(name, ranks, stream);
  }

  /** On a stream of its own. */
  @Override
  public Communicator background() {
    MemorySegment second = cuda.newStream();
    secondStream = second;
    return split("background", IntStream.range(0, size()).boxed().toList(), second);
  }

  private Communicator split(String name, List<Integer> ranks, MemorySegment ownStream) {
    Communicator members = hosts.group(name, ranks);
    MemorySegment split = nccl.split(live(), ranks.getFirst(), members.rank());
    settle("making the group " + name);
    NcclCommunicator group =
        new NcclCommunicator(
            nccl, cuda, members, device, callersStream, ownStream, deadline, true, split);
    group.settle("making the group " + name);
    groups.add(group);
    return group;
  }

  @Override
  public Work allReduce(MemorySegment buffer, ElementType type, ReduceOp op) {
    return submit("an all-reduce", comm -> nccl.allReduce(buffer, type, op, comm, stream));
  }

  @Override
  public Work reduceScatter(
      MemorySegment input, MemorySegment output, ElementType type, ReduceOp op) {
    return submit(
        "a reduce-scatter", comm -> nccl.reduceScatter(input, output, type, op, comm, stream));
  }

  @Override
  public Work allGather(MemorySegment input, MemorySegment output) {
    return submit("an all-gather", comm -> nccl.allGather(input, output, comm, stream));
  }

  @Override
  public Work broadcast(MemorySegment buffer, int root) {
    return submit("a broadcast", comm -> nccl.broadcast(buffer, root, comm, stream));
  }

  @Override
  public Work send(MemorySegment buffer, int peer) {
    return submit("a message", comm -> nccl.send(buffer, peer, comm, stream));
  }

  @Override
  public Work recv(MemorySegment buffer, int peer) {
    return submit("a message", comm -> nccl.recv(buffer, peer, comm, stream));
  }

  @Override
  public Work barrier() {
    MemorySegment summed = word;
    if (summed == null) {
      summed = cuda.allocate(Long.BYTES);
      word = summed;
    }
    return allReduce(summed, ElementType.INT64, ReduceOp.SUM);
  }

  private interface Call {
    void on(MemorySegment comm);
  }

  private Work submit(String what, Call call) {
    cuda.use(device);
    MemorySegment before = cuda.newEvent();
    cuda.record(before, MemorySegment.ofAddress(callersStream.getAsLong()));
    cuda.await(stream, before);
    cuda.destroyEvent(before); // once it has happened
    call.on(live());
    settle(what);
    MemorySegment done = cuda.newEvent();
    cuda.record(done, stream);
    return new Pending(what, done);
  }

  /** An operation that the stream was given. */
  private final class Pending implements Work {
    private final String what;
    private @Nullable MemorySegment event;

    Pending(String what, MemorySegment event) {
      this.what = what;
      this.event = event;
    }

    @Override
    public void await(Duration timeout) {
      poll(what, timeout, this::isDone);
    }

    @Override
    public boolean isDone() {
      MemorySegment waited = event;
      if (waited == null) {
        return true;
      }
      cuda.use(device);
      nccl.state(live());
      if (!cuda.hasHappened(waited)) {
        return false;
      }
      cuda.destroyEvent(waited);
      event = null;
      return true;
    }
  }

  /** Until NCCL has taken what it was told. */
  private void settle(String what) {
    poll(what, deadline, () -> nccl.state(live()) != NcclLibrary.IN_PROGRESS);
  }

  private interface Question {
    boolean isSo();
  }

  private void poll(String what, Duration timeout, Question question) {
    long startNs = System.nanoTime();
    try {
      while (!question.isSo()) {
        if (System.nanoTime() - startNs > timeout.toNanos()) {
          throw new CollectiveException(
              "%s is not done after %s on rank %d".formatted(what, timeout, rank()));
        }
        Thread.sleep(0, (int) POLL_NS);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      abort("interrupted");
      throw new CollectiveException(what + ": interrupted", e);
    } catch (CollectiveException e) {
      abort(String.valueOf(e.getMessage()));
      throw e;
    }
  }

  private synchronized MemorySegment live() {
    if (comm == null) {
      throw new CollectiveException(reason);
    }
    return comm;
  }

  @Override
  public void abort(String why) {
    MemorySegment ended;
    synchronized (this) {
      ended = comm;
      comm = null;
      if (ended != null) {
        reason = why;
      }
    }
    groups.forEach(group -> group.abort(why));
    if (ended != null) {
      hosts.abort(why);
      nccl.abort(ended);
    }
  }

  @Override
  public void close() {
    if (isGroup) {
      return;
    }
    groups.forEach(NcclCommunicator::destroy);
    destroy();
    cuda.destroyStream(stream);
    if (secondStream != null) {
      cuda.destroyStream(secondStream);
    }
    hosts.close();
  }

  private void destroy() {
    MemorySegment ended;
    synchronized (this) {
      ended = comm;
      comm = null;
    }
    if (ended != null) {
      nccl.destroy(ended);
    }
    if (word != null) {
      cuda.free(word);
      word = null;
    }
  }
}
