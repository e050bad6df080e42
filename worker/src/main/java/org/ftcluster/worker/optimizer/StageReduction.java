package org.ftcluster.worker.optimizer;

import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Consumer;
import org.ftcluster.worker.collective.CollectiveException;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.collective.Communicator.ReduceOp;
import org.ftcluster.worker.collective.Work;
import org.ftcluster.worker.optimizer.StageSums.Run;
import org.jspecify.annotations.Nullable;

/**
 * Takes the gradients of one micro-batch after the other to the ranks of a stage that sum them, in
 * {@link Bucket}s, while the backward goes on. All ranks have the same buckets in the same order,
 * and begin with each when they have it.
 *
 * <p>Only some buckets are on their way at once, in rooms of their own, so a thread does it: it
 * waits for a room where the backward shouldn't. Gradients stay where they are until it comes to
 * them. Where only one thread may send, as between GPUs, that is the backward's, which does wait
 * once its GPU is so many buckets behind.
 */
final class StageReduction implements AutoCloseable {
  private final SumMemory memory;
  private final SumFormat format;
  private final Communicator stage;
  private final Duration timeout;
  private final List<Bucket> buckets;

  /** Parameters of a bucket at most. */
  private final long most;

  private final MemorySegment rooms;
  private final int roomCount;
  private final long roomBytes;

  /** Null where the caller does it. */
  private final @Nullable ExecutorService thread;

  /** Of the micro-batch at hand, buckets that the thread has been told of. */
  private int told;

  /** What the thread was given, from the oldest of which it isn't known that it is done. */
  private final Queue<Future<?>> given = new ArrayDeque<>();

  // From here on the thread's, and others' while it has nothing to do.

  private final Deque<UnderWay> underWay = new ArrayDeque<>();
  private int room;
  private double limit;
  private boolean usable = true;

  private record UnderWay(Bucket bucket, MemorySegment room, Work work) {}

  /**
   * @param memory where gradients come about, and are summed; to be closed after this
   * @param sums get the gradients
   * @param stage of what is there; in the background, so that nothing else waits for these
   * @param timeout for a bucket
   */
  StageReduction(SumMemory memory, StageSums sums, Communicator stage, Duration timeout) {
    this.memory = memory;
    this.format = memory.format();
    this.stage = stage;
    this.timeout = timeout;
    SumMemory.Transit transit = memory.transit();
    this.most = Math.clamp(sums.largest(), 1, transit.bucketBytes() / format.sent().bytes());
    this.buckets = Bucket.of(sums, most);
    this.roomCount = Math.clamp(buckets.size(), 1, transit.buckets());
    this.roomBytes = most * format.sent().bytes();
    this.rooms = memory.allocate(roomCount * roomBytes);
    this.thread =
        stage.isForAnyThread()
            ? Executors.newSingleThreadExecutor(
                Thread.ofPlatform().daemon().name("gradients-r" + stage.rank()).factory())
            : null;
  }

  /** Whether {@link #send} waits where buckets have no room. */
  boolean waits() {
    return thread == null;
  }

  /**
   * Begins a step.
   *
   * @param largest magnitude of a gradient that can be used
   */
  void start(double largest) {
    limit = largest;
  }

  /**
   * Begins with the buckets from a parameter on.
   *
   * @param gradients float32, of all parameters, complete from there on, which stay as they are
   *     until {@link #taken}; null where this rank has none
   * @throws CollectiveException when a rank was lost
   */
  void send(@Nullable MemorySegment gradients, long from) {
    int first = told;
    while (told < buckets.size() && buckets.get(told).parameters().from() >= from) {
      told++;
    }
    if (told > first) {
      List<Bucket> complete = buckets.subList(first, told);
      give(task(() -> complete.forEach(bucket -> begin(bucket, gradients, 0))));
    }
    forgetDone();
  }

  /**
   * Begins with all of a run's buckets, whichever others have begun.
   *
   * @param gradients float32, of the run's parameters; null where this rank has none
   * @return done when they aren't needed any more
   * @throws CollectiveException when a rank was lost
   */
  Work send(Run run, @Nullable MemorySegment gradients) {
    List<Bucket> all = Bucket.of(run, most);
    FutureTask<?> begun = task(() -> all.forEach(bucket -> begin(bucket, gradients, run.start())));
    give(begun);
    forgetDone();
    return new Work() {
      @Override
      public void await(Duration limit) {
        StageReduction.this.await(begun, limit);
      }

      @Override
      public boolean isDone() {
        return begun.isDone();
      }
    };
  }

  private void forgetDone() {
    while (!given.isEmpty() && given.element().isDone()) {
      await(given.remove(), timeout);
    }
  }

  /**
   * Begins with the rest of a micro-batch's buckets, and returns when its gradients aren't needed
   * any more; some may still be on their way.
   *
   * @return whether all of them could be used, as far as that is known
   */
  boolean taken(@Nullable MemorySegment gradients) {
    send(gradients, 0);
    told = 0;
    awaitThread();
    return wereUsable();
  }

  /**
   * The same of runs, without waiting.
   *
   * @param listener hears, when their gradients aren't needed any more, what {@link #taken} returns
   */
  void whenTaken(Consumer<Boolean> listener) {
    give(task(() -> listener.accept(wereUsable())));
  }

  private boolean wereUsable() {
    boolean all = usable;
    usable = true;
    return all;
  }

  /** Returns when the sums are complete. */
  void finish() {
    give(task(this::awaitAll));
    awaitThread();
  }

  private static FutureTask<?> task(Runnable work) {
    return new FutureTask<>(Executors.callable(work));
  }

  private void give(FutureTask<?> task) {
    given.add(task);
    if (thread == null) {
      task.run();
    } else {
      thread.execute(task);
    }
  }

  private void awaitThread() {
    while (!given.isEmpty()) {
      await(given.remove(), timeout);
    }
  }

  private void await(Future<?> work, Duration limit) {
    try {
      work.get(limit.toMillis(), TimeUnit.MILLISECONDS);
    } catch (ExecutionException e) {
      if (e.getCause() instanceof RuntimeException failure) {
        throw failure;
      }
      throw new IllegalStateException("gradients can't be sent", e.getCause());
    } catch (TimeoutException e) {
      String reason = "gradients are not on their way after " + limit;
      stage.abort(reason);
      throw new CollectiveException(reason, e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      stage.abort("interrupted");
      throw new CollectiveException("interrupted while gradients were sent", e);
    }
  }

  /**
   * @param gradients from the parameter {@code start} on
   */
  private void begin(Bucket bucket, @Nullable MemorySegment gradients, long start) {
    if (underWay.size() == roomCount) {
      awaitFirst();
    }
    MemorySegment sent =
        rooms.asSlice(room * roomBytes, bucket.parameters().size() * format.sent().bytes());
    room = (room + 1) % roomCount;
    if (gradients == null) {
      memory.clear(sent);
    } else {
      usable &= memory.put(sent, bucket.parameters().in(gradients, start), limit);
    }
    Work work = stage.reduce(sent, format.sent(), ReduceOp.SUM, bucket.owner());
    underWay.add(new UnderWay(bucket, sent, work));
  }

  private void awaitAll() {
    while (!underWay.isEmpty()) {
      awaitFirst();
    }
  }

  private void awaitFirst() {
    UnderWay first = underWay.element();
    first.work().await(timeout);
    if (first.bucket().owner() == stage.rank()) {
      memory.add(first.bucket().sums(format.type()), first.room());
    }
    underWay.remove();
  }

  /** Returns when nobody uses the rooms any more; a step that wasn't finished is given up. */
  @Override
  public void close() {
    if (thread != null) {
      end(thread);
    }
    if (!underWay.isEmpty()) {
      stage.abort("rank %d gives up a step".formatted(stage.rank())); // GPUs would go on for ever
    }
    Buckets.letGo(underWay.stream().map(UnderWay::work).toList(), GradientSum.LET_GO);
  }

  private static void end(ExecutorService thread) {
    thread.shutdownNow();
    try {
      if (!thread.awaitTermination(GradientSum.LET_GO.toSeconds(), TimeUnit.SECONDS)) {
        throw new IllegalStateException("gradients are still being sent");
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted while gradients were sent", e);
    }
  }
}
