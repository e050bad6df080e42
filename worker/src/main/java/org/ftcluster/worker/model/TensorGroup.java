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
import org.ftcluster.worker.tensor.Scratch;
import org.ftcluster.worker.tensor.Tensor;
import org.ftcluster.worker.tensor.Workspace;
import org.ftcluster.worker.tensor.kernel.RowOps;
import org.jspecify.annotations.Nullable;

/**
 * The ranks that hold the slices of the same layers, and what they tell each other while a batch
 * goes through. A slice alone says nothing, and costs nothing.
 *
 * <p>Between the products, where norms and residuals look at a token by itself, each slice has rows
 * of its own (arXiv:2205.05198): as many as any other, in the order of the slices. A product gets
 * all rows, {@link #gather}, and its summands go back to the rows' owners, {@link #sum}.
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

  /** Slices. */
  int size() {
    return size;
  }

  /** Of so many rows those that are this slice's own. */
  Span own(int rows) {
    return size == 1
        ? new Span(0, rows)
        : Span.of(rows, DryRun.isOn() ? 0 : connected().rank(), size);
  }

  /** Room for all rows of what each slice has its own rows of; that itself where there is one. */
  Tensor roomForAll(Scope scope, Tensor own) {
    return size == 1 ? own : scope.empty(own.dtype(), own.size(0) * size, own.size(1));
  }

  /** Room for the own rows of {@code all}; that itself where there is one slice. */
  Tensor roomForOwn(Scope scope, Tensor all) {
    return size == 1 ? all : scope.empty(all.dtype(), all.size(0) / size, all.size(1));
  }

  /** All slices' rows; {@code own}, contiguous, itself where there is one. */
  Tensor gather(Scope scope, Tensor own) {
    Tensor all = roomForAll(scope, own);
    if (size > 1 && !DryRun.isOn()) {
      long start = Profile.begin();
      connected().allGather(own.address(), all.address()).await(timeout);
      Profile.ended("gather rows of slices", start, 0, all.address().byteSize());
    }
    return all;
  }

  /**
   * Sums over slices.
   *
   * @param own gets the sum's own rows; {@code all} itself where there is one slice
   * @param all rows of this slice's summand, contiguous
   */
  void sum(Workspace workspace, Tensor own, Tensor all) {
    if (size == 1) {
      return;
    }
    if (all.dtype() == DType.FLOAT32) {
      sum(own, all);
      return;
    }
    try (Scope temporary = workspace.open()) {
      Tensor wide = temporary.empty(DType.FLOAT32, all.shape());
      RowOps.copy(wide, all);
      Tensor wideOwn = temporary.empty(DType.FLOAT32, own.shape());
      sum(wideOwn, wide);
      RowOps.copy(own, wideOwn);
    }
  }

  private void sum(Tensor own, Tensor all) {
    if (DryRun.isOn()) {
      return;
    }
    long start = Profile.begin();
    connected()
        .reduceScatter(all.address(), own.address(), ElementType.FLOAT32, ReduceOp.SUM)
        .await(timeout);
    Profile.ended("sum over slices", start, 0, all.address().byteSize());
  }

  /**
   * All slices' numbers, one after the other by slice.
   *
   * @param beside a tensor from where they were taken
   */
  float[] gather(float[] own, Tensor beside) {
    if (size == 1) {
      return own;
    }
    float[] all = new float[own.length * size];
    if (DryRun.isOn()) {
      return all;
    }
    if (beside.isOnDevice()) {
      Scratch scratch = beside.device().scratch();
      MemorySegment input = scratch.upload(own);
      MemorySegment output = scratch.allocate((long) all.length * Float.BYTES);
      connected().allGather(input, output).await(timeout);
      scratch.download(output, all, 0, all.length);
      return all;
    }
    try (Arena arena = Arena.ofShared()) {
      MemorySegment input = arena.allocateFrom(ValueLayout.JAVA_FLOAT, own);
      MemorySegment output = arena.allocate(ValueLayout.JAVA_FLOAT, all.length);
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
