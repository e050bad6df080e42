package org.ftcluster.worker.model;

import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.function.Supplier;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.collective.Work;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;
import org.jspecify.annotations.Nullable;

/**
 * Where units of what is trained are gathered, one after the other, and where they leave their
 * gradients.
 */
final class GatherRoom {
  private static final int NONE = -1;

  private final Tensor values;
  private final Tensor gradients;
  private int unit = NONE;
  private @Nullable Work arrival;

  /** Of the gradients that were here last. */
  private @Nullable Work taken;

  /**
   * @param scope where the room stays
   * @param type that values are used in
   * @param size the most parameters of a unit
   * @param shards ranks that have a share each
   */
  GatherRoom(Scope scope, DType type, long size, int shards) {
    values = scope.empty(type, ParameterUnit.share(size, shards) * shards);
    gradients = scope.empty(DType.FLOAT32, size);
  }

  Tensor values() {
    return values;
  }

  /** float32. */
  Tensor gradients() {
    return gradients;
  }

  long bytes() {
    return values.elements() * values.dtype().bytes() + gradients.elements() * Float.BYTES;
  }

  boolean has(int index) {
    return unit == index;
  }

  /** What is here is old. */
  void forget() {
    unit = NONE;
  }

  /** What is under way is a generation's that is over. */
  void disconnect() {
    arrival = null;
    taken = null;
    forget();
  }

  /**
   * Begins to gather a unit, once what was under way here has come.
   *
   * @param share gives this rank's, in the type of {@link #values}
   */
  void gather(int index, Supplier<MemorySegment> share, Communicator ranks, Duration timeout) {
    await(timeout);
    MemorySegment outgoing = share.get();
    unit = index;
    arrival =
        ranks.allGather(outgoing, values.address().asSlice(0, outgoing.byteSize() * ranks.size()));
  }

  /** Returns when what was gathered is here. */
  void await(Duration timeout) {
    if (arrival != null) {
      arrival.await(timeout);
      arrival = null;
    }
  }

  /** Hands so many gradients to whoever sums them. */
  void handOver(int index, long size, GradientListener listener) {
    taken = listener.complete(index, gradients.address().asSlice(0, size * Float.BYTES));
  }

  /** Returns when nobody needs the gradients that are here. */
  void awaitTaken(Duration timeout) {
    if (taken != null) {
      taken.await(timeout);
      taken = null;
    }
  }
}
