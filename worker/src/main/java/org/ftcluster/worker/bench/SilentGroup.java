package org.ftcluster.worker.bench;

import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.BrokenBarrierException;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.collective.Work;
import org.jspecify.annotations.Nullable;

/**
 * A rank of a group in which nobody sends anything: the others are taken to have the same, so what
 * it computes is of no use, and takes as long as if it were.
 *
 * @param size of the group
 * @param meeting where its ranks wait for each other, as they do in whatever they send; null where
 *     this rank is alone
 */
record SilentGroup(int size, @Nullable CyclicBarrier meeting) implements Communicator {
  private static final long LIMIT_SECONDS = 60;

  private static final Work DONE =
      new Work() {
        @Override
        public void await(Duration timeout) {}

        @Override
        public boolean isDone() {
          return true;
        }
      };

  /** One whose other ranks aren't there. */
  SilentGroup(int size) {
    this(size, null);
  }

  private Work meet() {
    if (meeting == null) {
      return DONE;
    }
    try {
      meeting.await(LIMIT_SECONDS, TimeUnit.SECONDS);
      return DONE;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted", e);
    } catch (BrokenBarrierException | TimeoutException e) {
      throw new IllegalStateException("another rank of the group doesn't come", e);
    }
  }

  @Override
  public int rank() {
    return 0;
  }

  @Override
  public Communicator group(String name, List<Integer> ranks) {
    return new SilentGroup(ranks.size());
  }

  @Override
  public Communicator background() {
    return this;
  }

  @Override
  public boolean isForAnyThread() {
    return true;
  }

  @Override
  public Work allReduce(MemorySegment buffer, ElementType type, ReduceOp op) {
    return meet();
  }

  @Override
  public Work reduce(MemorySegment buffer, ElementType type, ReduceOp op, int root) {
    return meet();
  }

  @Override
  public Work reduceScatter(
      MemorySegment input, MemorySegment output, ElementType type, ReduceOp op) {
    output.copyFrom(input.asSlice(0, output.byteSize()));
    return meet();
  }

  @Override
  public Work allGather(MemorySegment input, MemorySegment output) {
    for (int i = 0; i < size; i++) {
      output.asSlice(i * input.byteSize(), input.byteSize()).copyFrom(input);
    }
    return meet();
  }

  @Override
  public Work broadcast(MemorySegment buffer, int root) {
    return meet();
  }

  @Override
  public Work send(MemorySegment buffer, int peer) {
    return meet();
  }

  @Override
  public Work recv(MemorySegment buffer, int peer) {
    return meet();
  }

  @Override
  public Work barrier() {
    return meet();
  }

  @Override
  public void check() {}

  @Override
  public void abort(String reason) {}

  @Override
  public void close() {}
}
