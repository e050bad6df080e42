package org.ftcluster.worker.collective.nccl;

import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.collective.Work;
import org.ftcluster.worker.tensor.Accelerator;

/**
 * Collectives on buffers of the hosts' by way of the links between GPUs: what goes in is copied to
 * the GPU, and what comes out is copied back when its {@link Work} is done. What is small, and
 * messages, go from host to host.
 *
 * <p>It takes as much of the GPU's memory as is under way at once. Of the thread that opened the
 * GPU, but for {@link #abort}.
 */
public final class StagedCommunicator implements Communicator {
  /** Fewer bytes are through the network before they would be on the GPU and back. */
  private static final long SMALL = 64 << 10;

  private final NcclCommunicator gpus;
  private final Communicator hosts;
  private final Rooms rooms;

  private StagedCommunicator(NcclCommunicator gpus, Rooms rooms) {
    this.gpus = gpus;
    this.hosts = gpus.hosts();
    this.rooms = rooms;
  }

  /**
   * @param gpus the same ranks' GPUs; they stay when this is closed
   * @param gpu this rank's
   */
  public static StagedCommunicator of(NcclCommunicator gpus, Accelerator gpu) {
    return new StagedCommunicator(gpus, new Rooms(gpu));
  }

  /** Memory of the GPU's, which goes from operation to operation. */
  private static final class Rooms {
    private final Accelerator gpu;
    private final List<MemorySegment> all = new ArrayList<>();
    private final Map<Long, Deque<MemorySegment>> free = new HashMap<>();

    Rooms(Accelerator gpu) {
      this.gpu = gpu;
    }

    MemorySegment take(long bytes) {
      Deque<MemorySegment> fitting = ofSize(bytes);
      if (fitting.isEmpty()) {
        MemorySegment room = gpu.allocate(bytes);
        all.add(room);
        return room;
      }
      return fitting.pop();
    }

    void giveBack(MemorySegment room) {
      ofSize(room.byteSize()).push(room);
    }

    private Deque<MemorySegment> ofSize(long bytes) {
      return free.computeIfAbsent(bytes, size -> new ArrayDeque<>());
    }

    /** Those of operations that came to no end, too. */
    void close() {
      all.forEach(gpu::free);
      all.clear();
      free.clear();
    }
  }

  /** What is done between two rooms, or in one. */
  private interface Operation {
    Work between(MemorySegment from, MemorySegment to);
  }

  private final class Staged implements Work {
    private final MemorySegment output;
    private final MemorySegment from;
    private final MemorySegment to;
    private final Work work;
    private boolean isDone;

    /**
     * @param output the input itself where that is replaced
     */
    Staged(MemorySegment input, MemorySegment output, Operation operation) {
      this.output = output;
      from = rooms.take(input.byteSize());
      to = input.equals(output) ? from : rooms.take(output.byteSize());
      rooms.gpu.upload(from, input);
      work = operation.between(from, to);
    }

    @Override
    public void await(Duration timeout) {
      if (!isDone) {
        work.await(timeout);
        finish();
      }
    }

    @Override
    public boolean isDone() {
      if (!isDone && work.isDone()) {
        finish();
      }
      return isDone;
    }

    private void finish() {
      isDone = true;
      rooms.gpu.download(output, to);
      rooms.giveBack(from);
      if (!to.equals(from)) {
        rooms.giveBack(to);
      }
    }
  }

  @Override
  public int rank() {
    return gpus.rank();
  }

  @Override
  public int size() {
    return gpus.size();
  }

  @Override
  public Communicator group(String name, List<Integer> ranks) {
    return new StagedCommunicator(gpus.group(name, ranks), rooms);
  }

  @Override
  public Communicator background() {
    return new StagedCommunicator(gpus.background(), rooms);
  }

  /** The same on all ranks, since what they give is of the same size. */
  private boolean staysOnHost(MemorySegment buffer) {
    return buffer.byteSize() < SMALL || size() == 1;
  }

  @Override
  public boolean isForAnyThread() {
    return false;
  }

  @Override
  public Work allReduce(MemorySegment buffer, ElementType type, ReduceOp op) {
    return staysOnHost(buffer)
        ? hosts.allReduce(buffer, type, op)
        : new Staged(buffer, buffer, (from, to) -> gpus.allReduce(to, type, op));
  }

  @Override
  public Work reduce(MemorySegment buffer, ElementType type, ReduceOp op, int root) {
    return staysOnHost(buffer)
        ? hosts.reduce(buffer, type, op, root)
        : new Staged(buffer, buffer, (from, to) -> gpus.reduce(to, type, op, root));
  }

  @Override
  public Work reduceScatter(
      MemorySegment input, MemorySegment output, ElementType type, ReduceOp op) {
    return staysOnHost(output)
        ? hosts.reduceScatter(input, output, type, op)
        : new Staged(input, output, (from, to) -> gpus.reduceScatter(from, to, type, op));
  }

  @Override
  public Work allGather(MemorySegment input, MemorySegment output) {
    return staysOnHost(input)
        ? hosts.allGather(input, output)
        : new Staged(input, output, gpus::allGather);
  }

  @Override
  public Work broadcast(MemorySegment buffer, int root) {
    return staysOnHost(buffer)
        ? hosts.broadcast(buffer, root)
        : new Staged(buffer, buffer, (from, to) -> gpus.broadcast(to, root));
  }

  @Override
  public Work send(MemorySegment buffer, int peer) {
    return hosts.send(buffer, peer);
  }

  @Override
  public Work recv(MemorySegment buffer, int peer) {
    return hosts.recv(buffer, peer);
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
  public void abort(String reason) {
    gpus.abort(reason);
  }

  /** Gives the GPU's memory back; to be called when nothing is under way. */
  @Override
  public void close() {
    rooms.close();
  }
}
