package org.ftcluster.worker.collective.nccl;

import java.lang.foreign.MemorySegment;
import java.time.Duration;
import org.ftcluster.worker.collective.CollectiveException;
import org.ftcluster.worker.collective.Work;
import org.jspecify.annotations.Nullable;

/**
 * A communicator of NCCL's with a CUDA stream of its own. What is submitted runs in the order of
 * the calls, after what the caller's stream was given before, and the caller's stream never waits
 * for it: who {@link Work#await}s does. So a rank that is lost stops nothing but a thread that asks
 * again and again, and hears of it from the hosts.
 *
 * <p>For one thread, but for {@link #abort}.
 */
final class Channel {
  /** How long the processor is kept for an answer, which most operations give soon. */
  private static final long SPIN_NS = 100_000;

  private static final int POLL_NS = 50_000;

  private final NcclContext context;
  private final int rank;
  private final MemorySegment stream;
  private boolean connected;

  /** Guarded by this, as is every call that takes it; null once it is aborted or closed. */
  private @Nullable MemorySegment comm;

  private String reason = "the communicator is closed";

  private Channel(NcclContext context, int rank, MemorySegment stream, MemorySegment comm) {
    this.context = context;
    this.rank = rank;
    this.stream = stream;
    this.comm = comm;
  }

  /**
   * Begins to connect; the first operation waits until that is done.
   *
   * @param id of these ranks' meeting, see {@link NcclLibrary#uniqueId}
   */
  static Channel begin(NcclContext context, byte[] id, int rank, int size) {
    context.use();
    MemorySegment stream = context.cuda().newStream();
    return new Channel(context, rank, stream, context.nccl().begin(id, rank, size));
  }

  /** A call of NCCL's. */
  interface Call {
    void on(MemorySegment comm, MemorySegment stream);
  }

  Work submit(String what, Call call) {
    context.hosts().check();
    if (!connected) {
      settle("connecting");
      connected = true;
    }
    CudaRuntime cuda = context.cuda();
    context.use();
    MemorySegment before = cuda.newEvent();
    cuda.record(before, context.callersStream());
    cuda.await(stream, before);
    cuda.destroyEvent(before); // once it has happened
    synchronized (this) {
      call.on(live(), stream);
    }
    settle(what);
    MemorySegment done = cuda.newEvent();
    cuda.record(done, stream);
    return new Pending(what, call, done);
  }

  /** Until NCCL has taken what it was told. */
  private void settle(String what) {
    poll(what, context.deadline(), () -> state() != NcclLibrary.IN_PROGRESS);
  }

  private synchronized int state() {
    return context.nccl().state(live());
  }

  private MemorySegment live() {
    if (comm == null) {
      throw new CollectiveException(reason);
    }
    return comm;
  }

  /** An operation that the stream was given. */
  private final class Pending implements Work {
    private final String what;

    /** Has the buffers, which nobody else may refer to any more; null once it is done. */
    private @Nullable Call call;

    private @Nullable MemorySegment event;

    Pending(String what, Call call, MemorySegment event) {
      this.what = what;
      this.call = call;
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
      context.use();
      boolean happened = context.cuda().hasHappened(waited);
      state(); // an abort lets it happen, too
      if (!happened) {
        return false;
      }
      context.cuda().destroyEvent(waited);
      event = null;
      call = null;
      return true;
    }
  }

  private interface Question {
    boolean isSo();
  }

  private void poll(String what, Duration timeout, Question question) {
    long startNs = System.nanoTime();
    try {
      while (!question.isSo()) {
        context.hosts().check();
        long passedNs = System.nanoTime() - startNs;
        if (passedNs > timeout.toNanos()) {
          throw new CollectiveException(
              "%s among GPUs is not done after %s on rank %d".formatted(what, timeout, rank));
        }
        if (passedNs < SPIN_NS) {
          Thread.onSpinWait();
        } else {
          Thread.sleep(0, POLL_NS);
        }
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      context.hosts().abort("rank %d was interrupted".formatted(rank));
      throw new CollectiveException(what + ": interrupted", e);
    } catch (CollectiveException e) {
      context.hosts().abort(String.valueOf(e.getMessage()));
      throw e;
    }
  }

  /** Ends what is under way, and whatever comes. Any thread may call it. */
  synchronized void abort(String why) {
    MemorySegment ended = comm;
    if (ended != null) {
      comm = null;
      reason = why;
      context.nccl().abort(ended);
    }
  }

  /** Gives everything back. */
  void close() {
    abort("the communicator is closed");
    context.use();
    context.cuda().destroyStream(stream);
  }
}
