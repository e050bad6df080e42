package org.ftcluster.worker.bench;

import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.List;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.collective.Work;

/**
 * A rank of a group in which nobody sends anything: the others are taken to have the same, so what
 * it computes is of no use, and takes as long as if it were.
 */
record SilentGroup(int size) implements Communicator {
  private static final Work DONE =
      new Work() {
        @Override
        public void await(Duration timeout) {}

        @Override
        public boolean isDone() {
          return true;
        }
      };

  @Override
  public int rank() {
    return 0;
  }

  @Override
  public Communicator group(String name, List<Integer> ranks) {
    return new SilentGroup(ranks.size());
  }

  @Override
  public Work allReduce(MemorySegment buffer, ElementType type, ReduceOp op) {
    return DONE;
  }

  @Override
  public Work reduceScatter(
      MemorySegment input, MemorySegment output, ElementType type, ReduceOp op) {
    output.copyFrom(input.asSlice(0, output.byteSize()));
    return DONE;
  }

  @Override
  public Work allGather(MemorySegment input, MemorySegment output) {
    for (int i = 0; i < size; i++) {
      output.asSlice(i * input.byteSize(), input.byteSize()).copyFrom(input);
    }
    return DONE;
  }

  @Override
  public Work broadcast(MemorySegment buffer, int root) {
    return DONE;
  }

  @Override
  public Work send(MemorySegment buffer, int peer) {
    return DONE;
  }

  @Override
  public Work recv(MemorySegment buffer, int peer) {
    return DONE;
  }

  @Override
  public Work barrier() {
    return DONE;
  }

  @Override
  public void abort(String reason) {}

  @Override
  public void close() {}
}
