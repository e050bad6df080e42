package org.ftcluster.worker.model;

import java.lang.foreign.MemorySegment;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;
import org.ftcluster.worker.tensor.kernel.RowOps;

/**
 * A rank's own shares of the units that its layers use, as they go to the other ranks: in the type
 * and the memory that products are computed in. What they are made of is float32, in the host's
 * memory.
 */
sealed interface OwnShares {
  /**
   * @param scope where they are
   * @param shards ranks that have one each
   */
  static OwnShares of(Scope scope, DType type, PartUnits units, int shards) {
    return scope.isOnDevice()
        ? new Kept(scope, type, units, shards)
        : new Converted(scope, type, units, shards);
  }

  /**
   * As many elements as every rank's share of that unit has.
   *
   * @param values float32; fewer where this rank has a smaller share
   * @return to be read before the next unit in the same room is asked for
   */
  MemorySegment of(int unit, MemorySegment values);

  /** Values are others now. */
  void forget();

  long bytes();

  /** In the host's memory, each time anew, in a place for each room. */
  final class Converted implements OwnShares {
    private final PartUnits units;
    private final int shards;
    private final Map<Integer, Tensor> rooms = new HashMap<>();

    private Converted(Scope scope, DType type, PartUnits units, int shards) {
      this.units = units;
      this.shards = shards;
      for (int room = 0; room < PartUnits.ROOMS; room++) {
        long size = units.largestIn(room);
        if (size > 0) {
          rooms.put(room, scope.empty(type, ParameterUnit.share(size, shards)));
        }
      }
    }

    @Override
    public MemorySegment of(int unit, MemorySegment values) {
      Tensor room = Objects.requireNonNull(rooms.get(units.roomOf(unit)), "another part's unit");
      MemorySegment share = room.slice(0, 0, units.get(unit).share(shards)).memory();
      if (room.dtype() == DType.BFLOAT16) {
        RowOps.toBfloat16(share.asSlice(0, values.byteSize() / Float.BYTES * Short.BYTES), values);
      } else {
        MemorySegment.copy(values, 0, share, 0, values.byteSize());
      }
      return share;
    }

    @Override
    public void forget() {}

    @Override
    public long bytes() {
      return rooms.values().stream()
          .mapToLong(room -> room.elements() * room.dtype().bytes())
          .sum();
    }
  }

  /** In an accelerator's memory, where each is brought once a step. */
  final class Kept implements OwnShares {
    /** Elements of float32 that are on their way at once. */
    private static final long ROUND = 4 << 20;

    private final Map<Integer, Tensor> shares = new HashMap<>();
    private final Tensor arriving;
    private final Set<Integer> here = new HashSet<>();

    private Kept(Scope scope, DType type, PartUnits units, int shards) {
      long largest = ParameterUnit.BLOCK;
      for (int unit = 0; unit < units.count(); unit++) {
        if (units.isHere(unit)) {
          long size = units.get(unit).share(shards);
          shares.put(unit, scope.empty(type, size));
          largest = Math.max(largest, size);
        }
      }
      arriving = scope.empty(DType.FLOAT32, Math.min(ROUND, largest));
    }

    @Override
    public MemorySegment of(int unit, MemorySegment values) {
      Tensor share = Objects.requireNonNull(shares.get(unit), "another part's unit");
      if (here.add(unit)) {
        bring(share, values);
      }
      return share.address();
    }

    private void bring(Tensor share, MemorySegment values) {
      if (share.dtype() == DType.FLOAT32) {
        share.write(values);
        return;
      }
      long size = values.byteSize() / Float.BYTES;
      for (long from = 0; from < size; from += arriving.elements()) {
        long count = Math.min(arriving.elements(), size - from);
        arriving.write(values.asSlice(from * Float.BYTES, count * Float.BYTES));
        // Whole blocks; nobody reads what is behind the values of the last one.
        long blocks = Math.ceilDiv(count, (long) ParameterUnit.BLOCK);
        RowOps.copy(blocks(share, from, blocks), blocks(arriving, 0, blocks));
      }
    }

    private static Tensor blocks(Tensor all, long from, long blocks) {
      return all.slice(0, from, from + blocks * ParameterUnit.BLOCK)
          .view(blocks, ParameterUnit.BLOCK);
    }

    @Override
    public void forget() {
      here.clear();
    }

    @Override
    public long bytes() {
      long bytes = arriving.elements() * Float.BYTES;
      for (Tensor share : shares.values()) {
        bytes += share.elements() * share.dtype().bytes();
      }
      return bytes;
    }
  }
}
