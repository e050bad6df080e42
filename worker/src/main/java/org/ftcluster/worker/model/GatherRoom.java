package org.ftcluster.worker.model;

import java.lang.foreign.MemorySegment;
import java.time.Duration;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.collective.Work;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;
import org.ftcluster.worker.tensor.kernel.RowOps;
import org.jspecify.annotations.Nullable;

/**
 * Where units of what is trained are gathered, one after the other, and where they leave their
 * gradients.
 */
final class GatherRoom {
  private static final int NONE = -1;

  private final Tensor values;

  /** This rank's share of them, on its way. */
  private final Tensor share;

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
    long shareSize = ParameterUnit.share(size, shards);
    values = scope.empty(type, shareSize * shards);
    share = scope.empty(type, shareSize);
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
    return (values.elements() + share.elements()) * values.dtype().bytes()
        + gradients.elements() * Float.BYTES;
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
   * Begins to gather a unit.
   *
   * @param own this rank's share, float32
   * @param shareSize parameters that go around of each rank's
   */
  void gather(int index, MemorySegment own, long shareSize, Communicator ranks, Duration timeout) {
    await(timeout);
    long bytes = shareSize * values.dtype().bytes();
    MemorySegment outgoing = share.memory().asSlice(0, bytes);
    if (values.dtype() == DType.BFLOAT16) {
      RowOps.toBfloat16(outgoing.asSlice(0, own.byteSize() / Float.BYTES * Short.BYTES), own);
    } else {
      MemorySegment.copy(own, 0, outgoing, 0, own.byteSize());
    }
    unit = index;
    arrival = ranks.allGather(outgoing, values.memory().asSlice(0, bytes * ranks.size()));
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
    taken = listener.complete(index, gradients.memory().asSlice(0, size * Float.BYTES));
  }

  /** Returns when nobody needs the gradients that are here. */
  void awaitTaken(Duration timeout) {
    if (taken != null) {
      taken.await(timeout);
      taken = null;
    }
  }
}
