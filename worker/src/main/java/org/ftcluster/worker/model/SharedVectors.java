package org.ftcluster.worker.model;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.Objects;
import java.util.function.IntFunction;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;

/**
 * Norms' weights and biases where values are shared out: so few, and float32 whatever products are
 * computed in, that every rank has them all, gathered once a step.
 */
final class SharedVectors {
  private final PartUnits units;
  private final int shards;
  private final Tensor values;

  /** By name, where a vector begins among {@link #values}. */
  private final Map<String, Long> places = new HashMap<>();

  /** As many of this rank's as any rank has. */
  private final Tensor outgoing;

  /** Of all ranks, one after the other. */
  private final Tensor incoming;

  /** Hears of the part of a vector that a rank has a share in. */
  @FunctionalInterface
  private interface Part {
    /**
     * @param place in {@link #values}
     * @param inShare where it begins in the rank's share of the unit
     */
    void here(int unit, long place, long inShare, long count);
  }

  /**
   * @param scope where they stay
   * @param shards ranks that have one each
   */
  SharedVectors(Scope scope, PartUnits units, int shards) {
    this.units = units;
    this.shards = shards;
    long size = 0;
    for (int unit = 0; unit < units.count(); unit++) {
      for (ParameterBuffer.Slice slice : units.get(unit).slices()) {
        if (units.isHere(unit) && isVector(slice)) {
          places.put(slice.name(), size);
          size += slice.size();
        }
      }
    }
    this.values = scope.empty(DType.FLOAT32, size);
    long most = 1;
    for (int rank = 0; rank < shards; rank++) {
      long[] count = {0};
      forEach(rank, (unit, place, inShare, length) -> count[0] += length);
      most = Math.max(most, count[0]);
    }
    this.outgoing = scope.empty(DType.FLOAT32, most);
    this.incoming = scope.empty(DType.FLOAT32, most * shards);
  }

  static boolean isVector(ParameterBuffer.Slice slice) {
    return slice.shape().length == 1;
  }

  Tensor value(ParameterBuffer.Slice slice) {
    long place = place(slice);
    return values.slice(0, place, place + slice.size());
  }

  private long place(ParameterBuffer.Slice slice) {
    return Objects.requireNonNull(places.get(slice.name()), slice.name());
  }

  long bytes() {
    return (values.elements() + outgoing.elements() + incoming.elements()) * Float.BYTES;
  }

  /**
   * Gets them from those who have them.
   *
   * @param shares this rank's, float32, by unit
   */
  void gather(Communicator ranks, IntFunction<MemorySegment> shares, Duration timeout) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment own = arena.allocate(ValueLayout.JAVA_FLOAT, outgoing.elements());
      MemorySegment gathered = arena.allocate(ValueLayout.JAVA_FLOAT, values.elements());
      long[] next = {0};
      forEach(
          ranks.rank(),
          (unit, place, inShare, count) -> {
            copy(shares.apply(unit), inShare, own, next[0], count);
            next[0] += count;
          });
      outgoing.write(own);
      ranks.allGather(outgoing.address(), incoming.address()).await(timeout);
      MemorySegment all = incoming.read(arena);
      for (int rank = 0; rank < shards; rank++) {
        next[0] = rank * outgoing.elements();
        forEach(
            rank,
            (unit, place, inShare, count) -> {
              copy(all, next[0], gathered, place, count);
              next[0] += count;
            });
      }
      values.write(gathered);
    }
  }

  private static void copy(
      MemorySegment from, long fromIndex, MemorySegment to, long toIndex, long count) {
    MemorySegment.copy(
        from, fromIndex * Float.BYTES, to, toIndex * Float.BYTES, count * Float.BYTES);
  }

  private void forEach(int rank, Part part) {
    for (int u = 0; u < units.count(); u++) {
      ParameterUnit unit = units.get(u);
      long from = unit.from() + rank * unit.share(shards);
      long to = Math.min(unit.to(), from + unit.share(shards));
      for (ParameterBuffer.Slice slice : unit.slices()) {
        long first = Math.max(from, slice.offset());
        long count = Math.min(to, slice.offset() + slice.size()) - first;
        if (units.isHere(u) && isVector(slice) && count > 0) {
          part.here(u, place(slice) + first - slice.offset(), first - from, count);
        }
      }
    }
  }
}
