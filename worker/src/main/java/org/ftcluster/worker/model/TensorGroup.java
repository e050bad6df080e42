package org.ftcluster.worker.model;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.collective.Communicator.ElementType;
import org.ftcluster.worker.collective.Communicator.ReduceOp;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.DryRun;
import org.ftcluster.worker.tensor.Profile;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;
import org.ftcluster.worker.tensor.Workspace;
import org.ftcluster.worker.tensor.kernel.RowOps;
import org.jspecify.annotations.Nullable;

/**
 * The ranks that hold the slices of the same layers, and what they tell each other while a batch
 * goes through. A slice alone says nothing, and costs nothing.
 *
 * <p>All ranks of a group make the same calls in the same order, on the thread that runs the model.
 */
final class TensorGroup {
  private final int size;
  private @Nullable Communicator ranks;
  private Duration timeout = Duration.ZERO;

  /**
   * @param size slices
   */
  TensorGroup(int size) {
    this.size = size;
  }

  /**
   * Connects the ranks of a generation.
   *
   * @param timeout for each exchange
   */
  void connect(Communicator ranks, Duration timeout) {
    if (ranks.size() != size) {
      throw new IllegalArgumentException("%d ranks for %d slices".formatted(ranks.size(), size));
    }
    this.ranks = ranks;
    this.timeout = timeout;
  }

  /** Replaces {@code x}, contiguous, by the sum over all slices: the same bits on all of them. */
  void sum(Workspace workspace, Tensor x) {
    if (size == 1) {
      return;
    }
    if (x.dtype() == DType.FLOAT32) {
      sum(x);
      return;
    }
    try (Scope temporary = workspace.open()) {
      Tensor wide = temporary.empty(DType.FLOAT32, x.shape());
      RowOps.copy(wide, x);
      sum(wide);
      RowOps.copy(x, wide);
    }
  }

  private void sum(Tensor x) {
    if (DryRun.isOn()) {
      return;
    }
    if (!x.isContiguous()) {
      throw new IllegalArgumentException("not contiguous: " + x);
    }
    long start = Profile.begin();
    connected().allReduce(x.memory(), ElementType.FLOAT32, ReduceOp.SUM).await(timeout);
    Profile.ended("sum over slices", start, 0, x.memory().byteSize());
  }

  /** All slices' numbers, one after the other by slice. */
  float[] gather(float[] own) {
    if (size == 1) {
      return own;
    }
    if (DryRun.isOn()) {
      return new float[own.length * size];
    }
    try (Arena arena = Arena.ofShared()) {
      MemorySegment input = arena.allocateFrom(ValueLayout.JAVA_FLOAT, own);
      MemorySegment output = arena.allocate(ValueLayout.JAVA_FLOAT, (long) own.length * size);
      connected().allGather(input, output).await(timeout);
      return output.toArray(ValueLayout.JAVA_FLOAT);
    }
  }

  private Communicator connected() {
    if (ranks == null) {
      throw new IllegalStateException("a slice of a model runs with all others, or not at all");
    }
    return ranks;
  }
}
